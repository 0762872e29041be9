import CLinux
import Glibc
import Synchronization

/// The only door between threads: any thread posts, one loop receives, in order.
public final class Mailbox<Message: Sendable>: Sendable {
    private let waiting = Mutex<[Message]>([])
    private let wake: Int32

    public init() throws(SystemError) {
        wake = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
        guard wake >= 0 else { throw SystemError("eventfd", errno) }
    }

    deinit { close(wake) }

    /// Wakes the loop only where it does not already know of waiting messages.
    public func post(_ message: Message) {
        let wasEmpty = waiting.withLock { queue in
            let wasEmpty = queue.isEmpty
            queue.append(message)
            return wasEmpty
        }
        if wasEmpty {
            var one: UInt64 = 1
            _ = write(wake, &one, 8)
        }
    }

    /// Calls `receive` on `loop`'s thread for each message, from now on.
    public func open(on loop: EventLoop, receive: @escaping (Message) -> Void) throws(SystemError) {
        let reader = MailboxReader { [self] in
            for message in waiting.withLock({ queue in
                let taken = queue
                queue = []
                return taken
            }) { receive(message) }
        }
        reader.wake = wake
        try loop.attach(reader, descriptor: wake)
    }
}

private final class MailboxReader: Handler {
    let drain: () -> Void
    var wake: Int32 = -1

    init(_ drain: @escaping () -> Void) { self.drain = drain }

    override func ready(_ readiness: Readiness) {
        guard readiness.contains(.readable) else { return }
        var count: UInt64 = 0
        _ = read(wake, &count, 8)
        drain()
    }
}
