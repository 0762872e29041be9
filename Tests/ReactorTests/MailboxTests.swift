import Testing

@testable import Reactor

@Suite struct MailboxTests {
    @Test func messagesOfAThreadKeepTheirOrder() throws {
        let loop = try EventLoop()
        let (threads, messages) = (4, 5_000)
        let box = try Mailbox<(Int, Int)>(limit: threads * messages)
        var received = [[Int]](repeating: [], count: threads)
        var left = threads * messages
        try box.open(on: loop) { thread, number in
            received[thread].append(number)
            left -= 1
            if left == 0 { loop.stop() }
        }
        var workers: [JoinLater] = []
        for thread in 0..<threads {
            workers.append(
                try JoinLater {
                    for number in 0..<messages { box.post((thread, number)) }
                })
        }
        loop.runGuarded()
        workers.forEach { $0.join() }
        #expect(left == 0, "no wake-up was lost")
        #expect(received.allSatisfy { $0 == Array(0..<messages) })
    }

    @Test func whatWaitsBeforeOpeningIsReceived() throws {
        let loop = try EventLoop()
        let box = try Mailbox<Int>()
        for number in 0..<3 { box.post(number) }
        var received: [Int] = []
        try box.open(on: loop) { number in
            received.append(number)
            if number == 2 { box.post(9) }
            if number == 9 { loop.stop() }
        }
        loop.runGuarded()
        #expect(received == [0, 1, 2, 9])
    }

    @Test func aFullOneKeepsTheNewestWordOnEachSubject() throws {
        let loop = try EventLoop()
        let box = try Mailbox<(subject: Int?, number: Int)>(limit: 4) { $0.subject }
        for number in 0..<4 { box.post((number == 1 ? 7 : nil, number)) }
        #expect(box.dropped == 0)
        box.post((nil, 4))
        box.post((7, 5))
        box.post((8, 6))
        box.post((8, 7))
        box.post((nil, 8))
        #expect(box.dropped == 2, "those without a subject")
        var received: [Int] = []
        try box.open(on: loop) { message in
            received.append(message.number)
            if message.number == 7 { loop.stop() }
        }
        loop.runGuarded()
        #expect(received == [0, 2, 3, 5, 7])
    }

    @Test func aFullOneTakesMessagesAgainWhenItWasRead() throws {
        let loop = try EventLoop()
        let box = try Mailbox<Int>(limit: 2)
        for number in 0..<3 { box.post(number) }
        var received: [Int] = []
        try box.open(on: loop) { number in
            received.append(number)
            if number == 1 { box.post(9) }
            if number == 9 { loop.stop() }
        }
        loop.runGuarded()
        #expect(received == [0, 1, 9])
        #expect(box.dropped == 1)
    }

    @Test func loopsAnswerEachOther() throws {
        let loop = try EventLoop()
        let (there, back) = (try Mailbox<Int>(), try Mailbox<Int>())
        let worker = try JoinLater {
            guard let far = try? EventLoop() else { return }
            try? there.open(on: far) { number in
                back.post(number + 1)
                if number >= 2_000 { far.stop() }
            }
            far.runGuarded()
        }
        var last = 0
        try back.open(on: loop) { number in
            last = number
            if number > 2_000 { loop.stop() } else { there.post(number) }
        }
        there.post(0)
        loop.runGuarded()
        worker.join()
        #expect(last == 2_001)
    }
}

/// A thread in a list.
private final class JoinLater {
    private var thread: WorkerThread?

    init(_ body: @escaping @Sendable () -> Void) throws { thread = try WorkerThread(name: "test", body) }

    func join() { thread.take()?.join() }
}
