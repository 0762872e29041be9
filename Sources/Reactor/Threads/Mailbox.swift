import CLinux
import Glibc
import Synchronization

/// The only door between threads: any thread posts, one loop receives, in order.
///
/// It has a limit, which only a loop that hangs lets its posters reach. A message on a *subject* then takes the place
/// of an older one on the same subject, which it makes pointless; any other is dropped and counted.
public final class Mailbox<Message: Sendable>: Sendable {
    private struct Queue {
        var messages: [Message] = []
        var dropped: UInt64 = 0
    }

    private let waiting = Mutex(Queue())
    private let limit: Int
    private let subject: @Sendable (Message) -> Int?
    private let wake: Int32

    /// - Parameters:
    ///   - limit: messages that wait at the most, and beyond them one for each subject.
    ///   - subject: what a message gives the newest word on; `nil`: it stands for itself alone.
    public init(
        limit: Int = 4096, subject: @escaping @Sendable (Message) -> Int? = { _ in nil }
    ) throws(SystemError) {
        self.limit = limit
        self.subject = subject
        wake = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
        guard wake >= 0 else { throw SystemError("eventfd", errno) }
    }

    deinit { close(wake) }

    /// Messages lost because the limit was reached and nothing newer on their subject could stand for them.
    public var dropped: UInt64 { waiting.withLock { $0.dropped } }

    /// Wakes the loop only where it does not already know of waiting messages.
    public func post(_ message: Message) {
        let wasEmpty = waiting.withLock { queue in
            let wasEmpty = queue.messages.isEmpty
            if queue.messages.count < limit || makeRoom(for: message, &queue) { queue.messages.append(message) }
            return wasEmpty
        }
        if wasEmpty {
            var one: UInt64 = 1
            _ = write(wake, &one, 8)
        }
    }

    /// `false`: a full queue has no room for this message.
    private func makeRoom(for message: Message, _ queue: inout Queue) -> Bool {
        guard let subject = subject(message) else {
            queue.dropped &+= 1
            return false
        }
        if let older = queue.messages.firstIndex(where: { self.subject($0) == subject }) {
            queue.messages.remove(at: older)
        }
        return true
    }

    /// Calls `receive` on `loop`'s thread for each message, from now on.
    public func open(on loop: EventLoop, receive: @escaping (Message) -> Void) throws(SystemError) {
        let reader = MailboxReader { [self] in
            for message in waiting.withLock({ queue in
                let taken = queue.messages
                queue.messages = []
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
