import CLinux
import Testing

@testable import Reactor

@Suite struct EventLoopTests {
    @Test func readinessIsToldOncePerChange() throws {
        let loop = try EventLoop()
        let pair = SocketPair()
        let handler = TestHandler()
        var told: [Bool] = []
        handler.onReady = { readiness in
            told.append(readiness.contains(.readable))
            // Nothing is read: an edge-triggered loop does not tell again of the same bytes.
            if told.count == 1 { #expect(readiness.contains(.writable)) }
        }
        try loop.attach(handler, pair.near)
        pair.far.write("a")
        let timer = TestHandler()
        loop.attach(timer)
        var rounds = 0
        timer.onDeadline = {
            rounds += 1
            if rounds == 2 { pair.far.write("b") }
            if rounds == 4 { loop.stop() } else { loop.setDeadline(timer, after: 1) }
        }
        loop.setDeadline(timer, after: 1)
        loop.runGuarded()
        #expect(rounds == 4)
        #expect(told == [true, true])
        #expect(pair.near.readText() == "ab")
    }

    @Test func hangupIsTold() throws {
        let loop = try EventLoop()
        let pair = SocketPair()
        let handler = TestHandler()
        var last: Readiness = []
        handler.onReady = { readiness in
            last = readiness
            if readiness.contains(.peerClosed) { loop.stop() } else { pair.far.shutdownWrite() }
        }
        try loop.attach(handler, pair.near)
        loop.runGuarded()
        #expect(last.contains(.peerClosed) && last.contains(.readable))
    }

    @Test func aHandlerHandsItsDescriptorOver() throws {
        let loop = try EventLoop()
        let pair = SocketPair()
        let (first, second) = (TestHandler(), TestHandler())
        var told: [String] = []
        first.onReady = { _ in
            told.append("first")
            loop.requeue(first)
            loop.setDeadline(first, after: 0)
            loop.handOver(from: first, to: second)
            pair.far.write("b")
        }
        first.onDeadline = { Issue.record("the deadline of a handler that is gone") }
        second.onReady = { _ in told.append("second") }
        second.onResume = {
            told.append("second resumes")
            loop.detach(second)
            loop.stop()
        }
        try loop.attach(first, pair.near)
        pair.far.write("a")
        loop.runGuarded()
        #expect(told == ["first", "second", "second resumes"])
        #expect(loop.handlerCount == 0)
    }

    @Test func requeuedHandlersRunInTheNextTurn() throws {
        let loop = try EventLoop()
        let handler = TestHandler()
        loop.attach(handler)
        var turns: [UInt64] = []
        handler.onResume = {
            turns.append(loop.turns)
            if turns.count == 3 { return loop.stop() }
            for _ in 0..<5 { loop.requeue(handler) }
        }
        for _ in 0..<5 { loop.requeue(handler) }
        loop.runGuarded()
        #expect(turns.count == 3)
        #expect(zip(turns, turns.dropFirst()).allSatisfy { $1 == $0 + 1 }, "once a turn, however often asked for")
    }

    @Test func aRequeuedHandlerThatGoesIsNotCalled() throws {
        let loop = try EventLoop()
        let (first, second, third) = (TestHandler(), TestHandler(), TestHandler())
        for handler in [first, second, third] { loop.attach(handler) }
        var calls: [Int] = []
        first.onResume = {
            calls.append(1)
            loop.detach(second)
            // Its slot is taken by another, which is not meant.
            let newcomer = TestHandler()
            newcomer.onResume = { calls.append(4) }
            loop.attach(newcomer)
        }
        second.onResume = { calls.append(2) }
        third.onResume = {
            calls.append(3)
            loop.stop()
        }
        for handler in [first, second, third] { loop.requeue(handler) }
        loop.runGuarded()
        #expect(calls == [1, 3])
    }

    @Test func deadlinesComeInTheirOrderAndOnce() throws {
        let loop = try EventLoop()
        var fired: [Int] = []
        let handlers = (0..<4).map { index in
            let handler = TestHandler()
            loop.attach(handler)
            handler.onDeadline = { fired.append(index) }
            return handler
        }
        let start = loop.nowNanoseconds
        for (index, milliseconds) in [30, 10, 20, 40].enumerated() {
            loop.setDeadline(handlers[index], at: start + UInt64(milliseconds) * 1_000_000)
        }
        loop.clearDeadline(handlers[2])
        handlers[3].onDeadline = {
            fired.append(3)
            #expect(loop.nowNanoseconds >= start + 40_000_000, "never early")
            loop.stop()
        }
        loop.runGuarded()
        #expect(fired == [1, 0, 3])
    }

    @Test func deadlinesAtTheEndsOfTime() throws {
        let loop = try EventLoop()
        let (never, past, end) = (TestHandler(), TestHandler(), TestHandler())
        var fired: [String] = []
        for handler in [never, past, end] { loop.attach(handler) }
        never.onDeadline = { fired.append("never") }
        past.onDeadline = { fired.append("past") }
        end.onDeadline = { loop.stop() }
        loop.setDeadline(never, after: .max)
        loop.setDeadline(past, at: 0)
        loop.setDeadline(end, after: 30_000_000)
        loop.runGuarded()
        #expect(fired == ["past"])
        loop.setDeadline(never, after: .max - loop.nowNanoseconds - 1)
        #expect(fired == ["past"])
    }

    @Test func aHandlerMayCloseAnotherOfTheSameBatch() throws {
        let loop = try EventLoop()
        let pairs = [SocketPair(), SocketPair()]
        let handlers = [TestHandler(), TestHandler()]
        var called: [Int] = []
        var newcomers: [TestHandler] = []
        var spares: [SocketPair] = []
        for index in 0...1 {
            handlers[index].onReady = { _ in
                called.append(index)
                // Both are ready; the other goes, and a third takes its slot and maybe its descriptor's number.
                loop.detach(handlers[1 - index])
                let newcomer = TestHandler()
                newcomer.onReady = { readiness in
                    called.append(2)
                    #expect(!readiness.contains(.readable), "the event was the other's")
                }
                spares.append(SocketPair())
                try? loop.attach(newcomer, spares.last!.near)
                newcomers.append(newcomer)
                loop.setDeadline(handlers[index], after: 10_000_000)
            }
            handlers[index].onDeadline = { loop.stop() }
            pairs[index].far.write("x")
        }
        for index in 0...1 { try loop.attach(handlers[index], pairs[index].near) }
        loop.runGuarded()
        #expect(called.filter { $0 < 2 }.count == 1)
        #expect(called.filter { $0 == 2 }.count == 1, "the newcomer hears of its own socket once: it is writable")
    }

    @Test func aHandlerMayDetachItselfAndLivesToItsReturn() throws {
        let loop = try EventLoop()
        let pair = SocketPair()
        var ended = false
        var wasAlive = false
        do {
            let handler = TestHandler()
            handler.onEnd = { ended = true }
            handler.onReady = { [unowned handler] _ in
                loop.detach(handler)
                wasAlive = !ended
                loop.stop()
            }
            try loop.attach(handler, pair.near)
        }
        loop.runGuarded()
        #expect(wasAlive && ended)
        #expect(loop.handlerCount == 0)
    }

    @Test func detachClearsTheDeadline() throws {
        let loop = try EventLoop()
        let (gone, other) = (TestHandler(), TestHandler())
        loop.attach(gone)
        gone.onDeadline = { Issue.record("detached") }
        loop.setDeadline(gone, after: 1_000_000)
        loop.detach(gone)
        loop.detach(gone)
        loop.setDeadline(gone, after: 1_000_000)
        loop.requeue(gone)
        loop.attach(other)
        var fired = 0
        other.onDeadline = {
            fired += 1
            loop.stop()
        }
        loop.setDeadline(other, after: 20_000_000)
        loop.runGuarded()
        #expect(fired == 1)
    }

    @Test func aDescriptorThatCannotBeWatched() throws {
        let loop = try EventLoop()
        let handler = TestHandler()
        #expect(throws: SystemError.self) { try loop.attach(handler, Socket(descriptor: 1 << 20)) }
        #expect(loop.handlerCount == 0)
        loop.attach(handler)
        #expect(loop.handlerCount == 1)
    }

    @Test func thousandsOfHandlers() throws {
        let loop = try EventLoop()
        var left = 5_000
        for index in 0..<left {
            let handler = TestHandler()
            handler.onDeadline = { [unowned handler] in
                loop.detach(handler)
                left -= 1
                if left == 0 { loop.stop() }
            }
            loop.attach(handler)
            loop.setDeadline(handler, after: UInt64(index % 50) * 100_000)
        }
        loop.runGuarded()
        #expect(left == 0 && loop.handlerCount == 0)
    }
}

@Suite struct HandleTableTests {
    @Test func staleTokensFindNobody() {
        var table = HandleTable()
        defer { table.deallocate() }
        let (first, second) = (TestHandler(), TestHandler())
        let slot = table.insert(first)
        let token = table.token(slot)
        #expect(table.handler(token)?.takeUnretainedValue() === first)
        table.remove(slot).release()
        #expect(table.handler(token)?.takeUnretainedValue() == nil)
        #expect(table.insert(second) == slot, "the slot is used again")
        #expect(table.handler(token)?.takeUnretainedValue() == nil)
        #expect(table.handler(table.token(slot))?.takeUnretainedValue() === second)
        #expect(table.count == 1)
        for made in [UInt64.max, 1 << 20, 63, 5 << 32] { #expect(table.handler(made)?.takeUnretainedValue() == nil) }
    }

    @Test func growsWithItsHandlers() {
        var table = HandleTable()
        defer { table.deallocate() }
        let handlers = (0..<500).map { _ in TestHandler() }
        let slots = handlers.map { table.insert($0) }
        #expect(Set(slots).count == 500)
        for (handler, slot) in zip(handlers, slots) { #expect(table.handler(at: slot) === handler) }
        for slot in slots.shuffled() { table.remove(slot).release() }
        #expect(table.count == 0)
        #expect(Set(handlers.map { table.insert($0) }) == Set(slots), "free slots first")
    }

    @Test func letsGoOfWhatItHolds() {
        var ended = 0
        var table = HandleTable()
        for _ in 0..<3 {
            let handler = TestHandler()
            handler.onEnd = { ended += 1 }
            _ = table.insert(handler)
        }
        #expect(ended == 0)
        table.deallocate()
        #expect(ended == 3)
    }
}
