public import MeshCore

/// What one source last told, in the form that is kept on disk for a start without the source.
///
/// A line `meshd catalogue VERSION`, eight bytes of CRC-64 over all that follows, then the source's name, the time and
/// the values. Nothing in it depends on the kind of the source.
public struct KeptCatalogue: Sendable, Equatable {
    /// The source's name: its registry URL.
    public let source: String
    /// When the source told it, in nanoseconds since 1970-01-01 UTC.
    public let toldAtNanoseconds: UInt64
    public let services: [ServiceSpec]
    public let instances: [InstanceSpec]

    /// Why a file is not taken.
    public struct Problem: Error, Hashable, Sendable, CustomStringConvertible {
        public let description: String
    }

    /// Largest file, in bytes.
    public static let maximumBytes = 256 << 20

    private static let begin = Array("meshd catalogue ".utf8)
    private static let version = Array("3\n".utf8)

    public init(source: String, toldAtNanoseconds: UInt64, services: [ServiceSpec], instances: [InstanceSpec]) {
        self.source = source
        self.toldAtNanoseconds = toldAtNanoseconds
        self.services = services
        self.instances = instances
    }

    /// A name for the file of a source, the same at every start; the image itself says whose it is.
    public static func fileName(source: String) -> String {
        let digits = String(CRC64.checksum(source.utf8), radix: 16)
        return String(repeating: "0", count: 16 - digits.utf8.count) + digits
    }

    public func encoded() -> [UInt8] {
        Self.encoded(
            source: source, toldAtNanoseconds: toldAtNanoseconds, services: services,
            instanceCount: instances.count, instances: CollectionOfOne(instances))
    }

    /// The image of a source's content, without a second list of all its instances.
    public static func encoded(_ content: Catalogue.SourceContent, source: String, toldAtNanoseconds: UInt64) -> [UInt8]
    {
        encoded(
            source: source, toldAtNanoseconds: toldAtNanoseconds, services: content.sortedServices,
            instanceCount: content.instanceCount, instances: content.instancesByService)
    }

    private static func encoded(
        source: String, toldAtNanoseconds: UInt64, services: [ServiceSpec], instanceCount: Int,
        instances: some Sequence<[InstanceSpec]>
    ) -> [UInt8] {
        var image = ImageWriter()
        image.put(raw: begin + version)
        let checksum = image.bytes.count
        image.put(fixed: 0)
        image.put(source)
        image.put(fixed: toldAtNanoseconds)
        image.put(all: services) { $0.put($1) }
        image.put(instanceCount)
        for list in instances { for instance in list { image.put(instance) } }
        image.replace(at: checksum, fixed: CRC64.checksum(image.bytes[(checksum + 8)...]))
        return image.bytes
    }

    /// Reads an image.
    ///
    /// - Parameter source: whose it has to be.
    /// - Throws: what is wrong with it; no bytes trap.
    public init(_ bytes: [UInt8], source expected: String) throws(Problem) {
        do throws(ImageFault) {
            try self.init(reading: bytes[...])
        } catch {
            throw Problem(description: error.message)
        }
        guard source == expected else { throw Problem(description: "it is of another registry") }
    }

    private init(reading bytes: ArraySlice<UInt8>) throws(ImageFault) {
        guard bytes.starts(with: Self.begin) else { throw ImageFault("it is no kept catalogue") }
        let behind = bytes.dropFirst(Self.begin.count)
        guard behind.starts(with: Self.version) else { throw ImageFault("its version is not known") }
        let rest = behind.dropFirst(Self.version.count)
        var head = ImageReader(rest)
        let checksum = try head.fixed()
        let body = rest.dropFirst(8)
        guard checksum == CRC64.checksum(body) else { throw ImageFault("its checksum does not match") }
        var reader = ImageReader(body)
        source = try reader.text()
        toldAtNanoseconds = try reader.fixed()
        services = try reader.all { reader throws(ImageFault) in try reader.service() }
        instances = try reader.all { reader throws(ImageFault) in try reader.instance() }
        guard reader.isAtEnd else { throw ImageFault("something follows its end") }
    }
}
