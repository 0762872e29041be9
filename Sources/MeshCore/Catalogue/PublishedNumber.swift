/// A number that the mesh chooses for a published port which asks for none. TCP and UDP have their numbers apart.
///
/// What it is for is named by a key: `SERVICE/CONTAINER-PORT/PROTOCOL`, with `/ADDRESS` behind it where the port names
/// one.
public struct PublishedNumber: Hashable, Sendable {
    public typealias Transport = PublishedPort.Transport

    public static var range: ClosedRange<UInt16> { PortAllocator.range }

    public let transport: Transport
    public let port: UInt16

    /// `nil`: it is none that the mesh chooses.
    public init?(_ transport: Transport, _ port: UInt16) {
        guard PortAllocator.range.contains(port) else { return nil }
        self.transport = transport
        self.port = port
    }

    /// The number that a key would have after `step` others were taken; `nil`: they are all tried.
    public static func candidate(_ key: String, step: UInt64) -> PublishedNumber? {
        guard let transport = transport(of: key), step < UInt64(PortAllocator.range.count) else { return nil }
        return PublishedNumber(transport, PortAllocator.candidate(key, step: step))
    }

    /// The protocol that a key is of; `nil`: it is no key.
    public static func transport(of key: String) -> Transport? {
        let parts = key.split(separator: "/", maxSplits: 3, omittingEmptySubsequences: false)
        return parts.count >= 3 ? Transport(rawValue: String(parts[2])) : nil
    }
}
