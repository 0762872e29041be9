import CSystemd
import Configuration
import Glibc
import MeshCore
import NetAddress
import Reactor

/// Listening sockets that the service manager opened and passed on (sd_listen_fds(3)), by the name of their socket
/// unit's `FileDescriptorName`: `http`, `https` and `admin`.
///
/// They outlive this process: connections that arrive between two runs wait.
struct PassedSockets {
    /// What a name leads to here.
    enum Name: String, CaseIterable {
        case http, https, admin
    }

    /// Both kinds of web listener, by address.
    private(set) var web: [SocketAddress: Socket] = [:]
    /// In the order in which they were passed.
    private var plain: [SocketAddress] = []
    private var secure: [SocketAddress] = []
    private(set) var admin: Socket?

    static let none = PassedSockets()

    /// Takes over what this process was started with, and clears the variables that say so.
    ///
    /// - Throws: `StartFailure` for a socket that cannot be what its name says. One of another name is warned of and
    ///   left alone.
    static func take() throws -> PassedSockets {
        var passed = PassedSockets()
        var names: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?
        let count = sd_listen_fds_with_names(1, &names)
        guard count >= 0 else { throw StartFailure(message: "LISTEN_FDS: \(SystemError.text(-count))") }
        defer { names.map(Self.free) }
        for index in 0..<Int(count) {
            let name = names?[index].map { String(cString: $0) } ?? ""
            let descriptor = Int32(SD_LISTEN_FDS_START) + Int32(index)
            do throws(SystemError) {
                try passed.take(descriptor, named: name)
            } catch {
                throw StartFailure(message: "passed socket \(index + 1), '\(name)': \(error)")
            }
        }
        return passed
    }

    private static func free(_ names: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) {
        var next = names
        while let name = next.pointee {
            Glibc.free(name)
            next += 1
        }
        Glibc.free(names)
    }

    private mutating func take(_ descriptor: Int32, named name: String) throws(SystemError) {
        guard let kind = Name(rawValue: name) else {
            let known = Name.allCases.map(\.rawValue).joined(separator: ", ")
            return Log.warning("passed socket not used", ["name": name, "known": known])
        }
        let socket = try Socket.adoptListener(descriptor)
        if kind == .admin {
            admin = socket
            return
        }
        guard let address = socket.localAddress() else {
            throw SystemError("getsockname", SystemError.unsupportedFamily)
        }
        guard web.updateValue(socket, forKey: address) == nil else { return }
        if kind == .https { secure.append(address) } else { plain.append(address) }
    }

    /// Web listeners beyond those that `replacing` puts into the settings.
    var furtherListeners: [ListenerPlan] {
        plain.dropFirst().map { ListenerPlan(address: $0, role: .web, owner: "passed socket http") }
            + secure.dropFirst().map { ListenerPlan(address: $0, role: .secureWeb, owner: "passed socket https") }
    }

    /// The settings with a passed socket's address where it takes the place of one to be opened.
    func replacing(in settings: Settings) -> Settings {
        var settings = settings
        if let first = plain.first { settings.http = first }
        if let first = secure.first { settings.tls.https = first }
        return settings
    }
}
