import CLinux
import Glibc
public import NetAddress

/// Asks the system for the addresses of host names (getaddrinfo), on a thread of its own: a loop must not wait.
///
/// One question at a time. Lives on one loop, which keeps it for good.
public final class HostLookup {
    /// - Parameter addresses: in the system's order; empty where the name is not known.
    public typealias Answer = (_ addresses: [IPAddress]) -> Void

    private let mailbox: Mailbox<[IPAddress]>
    private var thread: JoinableThread?
    private var waiting: [(name: String, answer: Answer)] = []

    public init(on loop: EventLoop) throws(SystemError) {
        mailbox = try Mailbox()
        try mailbox.open(on: loop) { [weak self] in self?.answered($0) }
    }

    /// Calls `answer` on the loop, never from within.
    public func ask(_ name: String, answer: @escaping Answer) {
        waiting.append((name, answer))
        if waiting.count == 1 { start() }
    }

    private func start() {
        guard let name = waiting.first?.name else { return }
        let mailbox = mailbox
        do throws(SystemError) {
            thread = try JoinableThread { mailbox.post(Self.addresses(of: name)) }
        } catch {
            mailbox.post([])
        }
    }

    private func answered(_ addresses: [IPAddress]) {
        thread?.join()
        thread = nil
        guard !waiting.isEmpty else { return }
        waiting.removeFirst().answer(addresses)
        if !waiting.isEmpty { start() }
    }

    private static func addresses(of name: String) -> [IPAddress] {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(name, nil, &hints, &list) == 0 else { return [] }
        defer { freeaddrinfo(list) }
        var addresses: [IPAddress] = []
        var next = list
        while let entry = next, addresses.count < 64 {
            var storage = sockaddr_storage()
            let length = min(Int(entry.pointee.ai_addrlen), MemoryLayout<sockaddr_storage>.size)
            withUnsafeMutableBytes(of: &storage) {
                $0.copyMemory(from: UnsafeRawBufferPointer(start: entry.pointee.ai_addr, count: length))
            }
            if let address = SocketAddress(storage) { addresses.append(address.ip) }
            next = entry.pointee.ai_next
        }
        return addresses
    }
}

/// A thread in a place where it can be left until it is joined.
private final class JoinableThread {
    private var handle: WorkerThread?

    init(_ body: @escaping @Sendable () -> Void) throws(SystemError) {
        handle = try WorkerThread(name: "meshd-lookup", body)
    }

    func join() { handle.take()?.join() }
}
