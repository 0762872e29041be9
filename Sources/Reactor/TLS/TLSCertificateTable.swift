/// Which certificates answer to which server name; immutable, made on the control loop and posted to the workers.
///
/// An exact name comes before a wildcard, which stands for one label (RFC 6125 section 6.4.3). Where certificates with
/// different kinds of keys have a name in common the client's abilities choose; of two with the same kind the earlier
/// in the list has the name.
public final class TLSCertificateTable: Sendable {
    public struct Entry: Sendable {
        /// The file, for people.
        public let label: String
        public let certificate: TLSCertificate

        public init(label: String, certificate: TLSCertificate) {
            self.label = label
            self.certificate = certificate
        }
    }

    public let entries: [Entry]
    /// For clients without a server name, or with an unknown one; `nil`: there is no certificate.
    let fallback: TLSServerContext?
    private let exact: [String: TLSServerContext]
    private let wildcards: [String: TLSServerContext]

    public static let empty = TLSCertificateTable()

    private init() { (entries, fallback, exact, wildcards) = ([], nil, [:], [:]) }

    /// - Parameters:
    ///   - preferred: the label of the certificate for unknown names; otherwise the first entry's.
    ///   - contexts: makes a context, or finds the one that earlier tables had.
    init(
        _ entries: [Entry], preferred: String?, contexts: ([TLSCertificate]) throws(TLSError) -> TLSServerContext
    ) throws(TLSError) {
        self.entries = entries
        var owners: [String: [TLSCertificate]] = [:]
        for entry in entries {
            for name in entry.certificate.names {
                let present = owners[name] ?? []
                guard !present.contains(where: { $0.keyKind == entry.certificate.keyKind }) else { continue }
                owners[name] = present + [entry.certificate]
            }
        }
        var exact: [String: TLSServerContext] = [:]
        var wildcards: [String: TLSServerContext] = [:]
        for (name, certificates) in owners {
            let context = try contexts(certificates)
            if name.hasPrefix("*.") { wildcards[String(name.dropFirst(2))] = context } else { exact[name] = context }
        }
        (self.exact, self.wildcards) = (exact, wildcards)
        guard let first = entries.first(where: { $0.label == preferred }) ?? entries.first else {
            fallback = nil
            return
        }
        let name = first.certificate.names.first ?? ""
        let siblings = owners[name] ?? []
        fallback = try contexts(siblings.contains { $0 === first.certificate } ? siblings : [first.certificate])
    }

    /// The context for a server name; `nil`: no certificate has it.
    func context(for name: String) -> TLSServerContext? {
        guard name.utf8.count <= 255 else { return nil }
        var name = name.lowercased()
        if name.hasSuffix(".") { name.removeLast() }
        if let found = exact[name] { return found }
        guard let dot = name.firstIndex(of: "."), dot != name.startIndex else { return nil }
        return wildcards[String(name[name.index(after: dot)...])]
    }

    /// The labels of the certificates for a server name, for `explain` and tests.
    public func labels(for name: String) -> [String] {
        let found = context(for: name) ?? fallback
        return found.map { context in entries.filter { context.holds($0.certificate) }.map(\.label) } ?? []
    }
}
