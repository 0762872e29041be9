import HTTPClient
import NetAddress
import Reactor

/// How a registry is spoken to over TLS, the same for every kind of registry: parameters of its URL.
public struct RegistryTLS: Hashable, Sendable {
    /// PEM bundle of the authorities whose servers are taken, as a path; `nil`: the system's.
    public var authorities: String?
    /// PEM of the certificate that the server is shown, with its chain, as a path; `nil`: none.
    public var certificate: String?
    /// PEM of its key, as a path; `nil`: it is in the certificate's file.
    public var key: String?
    /// What the server's certificate must name; `nil`: the host that is dialled.
    public var serverName: String?

    static let parameters = ["ca", "cert", "key", "server-name"]

    init(_ parameters: URLParameters) throws(RegistryURL.Problem) {
        authorities = parameters["ca"]
        certificate = parameters["cert"]
        key = parameters["key"]
        serverName = parameters["server-name"]?.lowercased()
        guard certificate != nil || key == nil else { throw parameters.problem("key without cert") }
        if let serverName, !HostNameText.isValid(serverName), IPAddress(serverName) == nil {
            throw parameters.problem("server-name \(OneLine.quoted(serverName)) is neither a name nor an address")
        }
    }
}

/// Makes what requests to one registry need for TLS. Lives on one loop.
///
/// The files are looked at again after `forget`, and once a minute: a certificate that is renewed in time is never
/// missed. New files that cannot be used leave the last good ones in force.
final class RegistryTLSClient {
    private static let fileLimit = 4 << 20
    private static let lookNanoseconds: UInt64 = 60_000_000_000

    private let settings: RegistryTLS
    private var context: TLSClientContext?
    /// Of `context`: sessions do not outlive the authorities that they were verified against.
    private var engine = TLSEngine()
    private var files: [[UInt8]?] = []
    private var lookedAt: UInt64 = 0

    init(_ settings: RegistryTLS) { self.settings = settings }

    /// - Parameters:
    ///   - host: what is dialled; a name or an address.
    ///   - server: names the server among those whose sessions are kept.
    /// - Throws: which file cannot be used, and why; only while there is no good one.
    func tls(
        host: String, server: some Hashable, nowNanoseconds now: UInt64
    ) throws(TextFault) -> FetchRequest.TLS {
        if context == nil || now - min(lookedAt, now) >= Self.lookNanoseconds {
            lookedAt = now
            do throws(TextFault) {
                try load()
            } catch {
                guard context != nil else { throw error }
                Log.warning("files of the registry's TLS refused, the last good ones stay", ["cause": error.message])
            }
        }
        let key = UInt64(bitPattern: Int64(server.hashValue))
        return FetchRequest.TLS(context, name: settings.serverName ?? host, engine, sessionKey: key)
    }

    /// Something has failed: the files may be new.
    func forget() { lookedAt = 0 }

    private func load() throws(TextFault) {
        let files = [
            try Self.read("ca", settings.authorities), try Self.read("cert", settings.certificate),
            try Self.read("key", settings.key),
        ]
        guard context == nil || files != self.files else { return }
        let now = Int64(WallClock.nowNanoseconds() / 1_000_000_000)
        context = try Self.context(settings, files, now)
        engine = TLSEngine()
        self.files = files
    }

    /// Each file on its own first, so that a fault is told of the right one.
    private static func context(
        _ settings: RegistryTLS, _ files: [[UInt8]?], _ now: Int64
    ) throws(TextFault) -> TLSClientContext {
        do throws(TLSError) {
            _ = try TLSClientContext(authorities: files[0], verifies: true)
        } catch {
            throw TextFault("ca \(settings.authorities ?? "of the system"): \(error)")
        }
        do throws(TLSError) {
            let identity = files[1].map { TLSIdentity($0, key: files[2], nowSeconds: now) }
            return try TLSClientContext(authorities: files[0], verifies: true, identity: identity)
        } catch {
            let key = settings.key.map { ", key \($0)" } ?? ""
            throw TextFault("cert \(settings.certificate ?? "")\(key): \(error)")
        }
    }

    private static func read(_ name: String, _ path: String?) throws(TextFault) -> [UInt8]? {
        guard let path else { return nil }
        do throws(SystemError) {
            return try FileBytes.read(path, limit: fileLimit)
        } catch {
            throw TextFault("\(name) \(path): \(SystemError.text(error.code))")
        }
    }
}
