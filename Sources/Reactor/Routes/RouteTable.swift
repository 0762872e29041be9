import CLinux
import Glibc
public import NetAddress

/// The kernel's local routes, read and changed over rtnetlink(7). Each call waits for its answer, two seconds at the
/// most: it is for the start and the end of the process, not for a loop at work.
public struct RouteTable: ~Copyable {
    private let descriptor: Int32
    private var sequence: UInt32 = 0
    /// Bytes of a list at the most, several hundred thousand routes.
    private static let listLimit = 64 << 20

    public init() throws(SystemError) {
        descriptor = socket(AF_NETLINK, Int32(SOCK_RAW.rawValue) | Int32(SOCK_CLOEXEC.rawValue), NETLINK_ROUTE)
        guard descriptor >= 0 else { throw SystemError("socket", errno) }
        var patience = timeval(tv_sec: 2, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
    }

    deinit { close(descriptor) }

    /// Every local route of one family.
    public mutating func localRoutes(isV4: Bool) throws(SystemError) -> [LocalRoute] {
        sequence += 1
        try send(RouteMessage.list(isV4: isV4, sequence: sequence))
        var routes: [LocalRoute] = []
        var total = 0
        while total < Self.listLimit {
            let datagram = try receive()
            total += datagram.count
            for answer in RouteMessage.answers(datagram, sequence: sequence) {
                switch answer {
                case .localRoute(let route): routes.append(route)
                case .done, .result(0): return routes
                case .result(let code): throw SystemError("RTM_GETROUTE", code)
                }
            }
        }
        throw SystemError("RTM_GETROUTE", EFBIG)
    }

    /// Makes every address of the range one of this machine's (CAP_NET_ADMIN).
    public mutating func add(_ network: IPNetwork) throws(SystemError) { try change(.add, network, "RTM_NEWROUTE") }

    public mutating func remove(_ network: IPNetwork) throws(SystemError) {
        try change(.remove, network, "RTM_DELROUTE")
    }

    private mutating func change(_ change: RouteMessage.Change, _ network: IPNetwork, _ call: String)
        throws(SystemError)
    {
        let loopback = if_nametoindex("lo")
        guard loopback > 0 else { throw SystemError("if_nametoindex", errno) }
        sequence += 1
        try send(RouteMessage.change(change, network, interface: loopback, sequence: sequence))
        // Something else may come first, but not without end.
        for _ in 0..<64 {
            for answer in RouteMessage.answers(try receive(), sequence: sequence) {
                guard case .result(let code) = answer else { continue }
                if code != 0 { throw SystemError(call, code) }
                return
            }
        }
        throw SystemError(call, EPROTO)
    }

    private func send(_ message: [UInt8]) throws(SystemError) {
        let result = retrying { message.withUnsafeBytes { CLinux.send(descriptor, $0.baseAddress, $0.count, 0) } }
        if case .failed(let code) = result { throw SystemError("send", code) }
    }

    private func receive() throws(SystemError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: 128 << 10)
        let descriptor = descriptor
        let capacity = bytes.count
        switch retrying({ bytes.withUnsafeMutableBytes { recv(descriptor, $0.baseAddress, capacity, 0) } }) {
        case .count(let count): return Array(bytes.prefix(count))
        case .wouldBlock: throw SystemError("recv", ETIMEDOUT)
        case .failed(let code): throw SystemError("recv", code)
        }
    }
}
