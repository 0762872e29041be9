import COpenSSL

/// The certificates of a node, on the control loop: reads pairs of files, keeps the last good one of each, and makes
/// the table that workers use.
public final class TLSCertificateStore {
    /// Where a pair comes from.
    public struct Source: Hashable, Sendable {
        /// What names it in logs, metrics and `default-certificate`.
        public let label: String
        public let certificatePath: String
        /// `nil`: the key is in the certificate's file.
        public let keyPath: String?
        /// PEM text in place of files.
        let text: [UInt8]?

        public init(label: String, certificatePath: String, keyPath: String?) {
            self.label = label
            self.certificatePath = certificatePath
            self.keyPath = keyPath
            text = nil
        }

        /// - Parameter text: certificate, chain and key as PEM.
        public init(label: String, text: String) {
            self.label = label
            certificatePath = label
            keyPath = nil
            self.text = Array(text.utf8)
        }
    }

    private static let fileLimit = 1 << 20

    private struct Pair {
        var certificateText: [UInt8]
        var keyText: [UInt8]?
        var certificate: TLSCertificate?
        var problem: String?
    }

    private var policy: TLSPolicy
    private let preferred: String?
    private var pairs: [Source: Pair] = [:]
    private var contexts: [[ObjectIdentifier]: TLSServerContext] = [:]
    public private(set) var table = TLSCertificateTable.empty

    /// - Parameters:
    ///   - preferred: the label of the certificate for clients without a known server name.
    /// - Throws: a list of ciphers or groups that OpenSSL does not know.
    public init(_ policy: TLSPolicy, preferred: String?) throws(TLSError) {
        self.policy = policy
        self.preferred = preferred
        _ = try TLSServerContext(policy, [])
    }

    /// What is wrong at present, one sentence for each pair.
    public var problems: [String] {
        pairs.filter { $0.value.problem != nil }.sorted { $0.key.label < $1.key.label }.map {
            "certificate \($0.key.label): \($0.value.problem ?? "")"
        }
    }

    public struct Change {
        /// Whether `table` is another one.
        public var isNew = false
        /// What was refused, and was not refused with the same reason before.
        public var refused: [(file: String, reason: String)] = []
        /// Labels of certificates that came, or took another's place.
        public var taken: [String] = []
    }

    /// Reads all sources anew; of a pair that is not good the last good one stays. A source that is not named any more
    /// is forgotten.
    ///
    /// - Parameter sources: where two have a name in common, the earlier one answers to it.
    public func load(_ sources: [Source], nowSeconds: Int64) -> Change {
        var change = Change()
        let gone = Set(pairs.keys).subtracting(sources)
        for source in gone {
            if pairs.removeValue(forKey: source)?.certificate != nil { change.isNew = true }
        }
        for source in sources { read(source, nowSeconds, &change) }
        guard change.isNew || table.entries.map(\.label) != order(sources) else { return change }
        change.isNew = true
        rebuild(
            sources.compactMap { source in
                pairs[source]?.certificate.map { TLSCertificateTable.Entry(label: source.label, certificate: $0) }
            })
        return change
    }

    /// Takes clients of the authorities of another bundle (PEM) from now on; handshakes and tickets of the old ones are
    /// not taken any more where `table` is used.
    ///
    /// - Throws: why the bundle cannot be used; the old one stays.
    public func trustClients(of bundle: [UInt8]) throws(TLSError) {
        var policy = policy
        policy.clientAuthorities = bundle
        _ = try TLSServerContext(policy, [])
        self.policy = policy
        contexts = [:]
        rebuild(table.entries)
    }

    private func order(_ sources: [Source]) -> [String] {
        sources.filter { pairs[$0]?.certificate != nil }.map(\.label)
    }

    private func read(_ source: Source, _ nowSeconds: Int64, _ change: inout Change) {
        let before = pairs[source]
        var pair = before ?? Pair(certificateText: [], keyText: nil, certificate: nil, problem: nil)
        do throws(Refusal) {
            let text: [UInt8]
            if let given = source.text { text = given } else { text = try Self.bytes(source.certificatePath) }
            let keyText = try source.keyPath.map { path throws(Refusal) in try Self.bytes(path) }
            let isSame = before.map { $0.certificateText == text && $0.keyText == keyText } ?? false
            if isSame, before?.certificate != nil, before?.problem == nil { return }
            let certificate = try check(source, text, keyText, nowSeconds)
            pair = Pair(certificateText: text, keyText: keyText, certificate: certificate, problem: nil)
            change.isNew = true
            change.taken.append(source.label)
        } catch {
            let stays = pair.certificate == nil ? "" : "; the old one stays"
            let problem = "\(error.file): \(error.reason)\(stays)"
            if pair.problem != problem { change.refused.append((error.file, error.reason)) }
            pair.problem = problem
        }
        pairs[source] = pair
    }

    private struct Refusal: Error {
        let file: String
        let reason: String
    }

    private static func bytes(_ path: String) throws(Refusal) -> [UInt8] {
        do throws(SystemError) {
            return try FileBytes.read(path, limit: fileLimit)
        } catch {
            throw Refusal(file: path, reason: "cannot read: \(SystemError.text(error.code))")
        }
    }

    private func check(
        _ source: Source, _ text: [UInt8], _ keyText: [UInt8]?, _ nowSeconds: Int64
    ) throws(Refusal) -> TLSCertificate {
        do throws(TLSError) {
            let certificate = try TLSCertificate(text, key: keyText, nowSeconds: nowSeconds)
            // OpenSSL's own demands, such as the length of the key.
            contexts[[ObjectIdentifier(certificate)]] = try TLSServerContext(policy, [certificate])
            return certificate
        } catch {
            throw Refusal(file: source.certificatePath, reason: error.description)
        }
    }

    private func rebuild(_ entries: [TLSCertificateTable.Entry]) {
        var used: [[ObjectIdentifier]: TLSServerContext] = [:]
        let made = try? TLSCertificateTable(entries, preferred: preferred) { certificates throws(TLSError) in
            let key = certificates.map { ObjectIdentifier($0) }
            if let known = used[key] ?? contexts[key] {
                used[key] = known
                return known
            }
            let context = try TLSServerContext(policy, certificates)
            used[key] = context
            return context
        }
        // Each certificate has been taken on its own, so that together they fail only for want of memory.
        guard let made else { return Log.error("certificates could not be put together") }
        table = made
        // An identifier is good for as long as its object lives, and a context keeps its own.
        contexts = used
    }
}
