import Reactor

/// One way of a session. Small messages go through a leased buffer; a sender that keeps filling it is spliced through a
/// pipe, where the bytes are not copied. Whatever the sink does not take stops the reading of the source.
struct Direction {
    enum Outcome {
        /// Until the next event.
        case waiting
        /// The turn's budget is used up.
        case again
        /// The source has ended and everything was handed on; told once.
        case ended
        case failed
    }

    private static let turnBytes = 4 << 20
    /// Full buffers in a row that make a sender a bulk sender.
    private static let bulkAfter = 2

    private var buffer: Buffer?
    private var start = 0
    private var end = 0
    private var pipe: PipePair?
    private var inPipe = 0
    private var fullReads = 0
    private var sourceEnded = false
    private(set) var isEnded = false

    /// Fills the empty buffer with bytes that come before all of the source's. `false`: there is no buffer.
    mutating func begin(_ worker: RelayWorker, _ write: (UnsafeMutableRawBufferPointer) -> Int) -> Bool {
        guard let leased = worker.loop.buffers.leaseSmall() else { return false }
        buffer = leased
        (start, end) = (0, write(UnsafeMutableRawBufferPointer(start: leased.base, count: leased.capacity)))
        return true
    }

    mutating func pump(
        from source: RelayEnd, to sink: RelayEnd, _ worker: RelayWorker, _ counter: inout UInt64
    ) -> Outcome {
        guard !isEnded else { return .waiting }
        var moved = 0
        defer { counter &+= UInt64(moved) }
        while true {
            guard let sent = flush(to: sink) else { return .failed }
            moved += sent
            if start < end || inPipe > 0 { return .waiting }
            if sourceEnded {
                isEnded = true
                release(worker)
                return .ended
            }
            guard source.isReadable else {
                release(worker)
                return .waiting
            }
            guard moved < Self.turnBytes else { return .again }
            // The kernel does not splice past an urgent mark.
            let isRead =
                fullReads >= Self.bulkAfter && !source.sawUrgent
                ? splice(from: source, worker) : receive(from: source, worker)
            guard isRead else { return .failed }
        }
    }

    // MARK: - Out

    /// Bytes the sink took; `nil`: it failed.
    private mutating func flush(to sink: RelayEnd) -> Int? {
        var sent = 0
        while sink.isWritable, start < end, let buffer {
            sink.willSend()
            switch sink.socket.send(buffer.base + start, end - start, more: sourceEnded) {
            case .count(let count):
                if count < end - start { sink.isWritable = false }
                start += count
                sent += count
                sink.isOwing = true
            case .wouldBlock: sink.isWritable = false
            case .failed: return nil
            }
        }
        while sink.isWritable, inPipe > 0, let pipe {
            sink.willSend()
            switch Socket.splice(from: pipe.readEnd, to: sink.socket.descriptor, inPipe) {
            case .count(let count):
                inPipe -= count
                sent += count
                sink.isOwing = true
            case .wouldBlock: sink.isWritable = false
            case .failed: return nil
            }
        }
        return sent
    }

    // MARK: - In

    /// Reads once into a buffer. `false`: the source failed, or there is no buffer.
    private mutating func receive(from source: RelayEnd, _ worker: RelayWorker) -> Bool {
        guard let buffer = buffer ?? worker.loop.buffers.leaseSmall() else { return false }
        self.buffer = buffer
        (start, end) = (0, 0)
        switch source.socket.receive(buffer.base, buffer.capacity) {
        case .count(0):
            sourceEnded = true
            source.isReadable = false
        case .count(let count):
            end = count
            source.isOwing = false
            if count == buffer.capacity {
                fullReads += 1
            } else {
                fullReads = 0
                // A short read: the kernel has no more; where the end had come before, this was it.
                source.isReadable = source.sawError || source.sawUrgent
                sourceEnded = source.sawPeerClose && !source.isReadable
            }
        case .wouldBlock:
            source.isReadable = false
            source.sawUrgent = false
        case .failed: return false
        }
        return true
    }

    private mutating func splice(from source: RelayEnd, _ worker: RelayWorker) -> Bool {
        guard let pipe = pipe ?? worker.pipes.lease() else {
            fullReads = 0
            return receive(from: source, worker)
        }
        self.pipe = pipe
        switch Socket.splice(from: source.socket.descriptor, to: pipe.writeEnd, PipePool.capacity) {
        case .count(0):
            // The end, or an urgent mark with the end somewhere behind it: a look tells which, and needs no buffer.
            fullReads = 0
            var octet: UInt8 = 0
            if case .count(0) = source.socket.peek(&octet, 1) {
                sourceEnded = true
                source.isReadable = false
            }
        case .count(let count):
            inPipe = count
            source.isOwing = false
            // Small pieces are cheaper through a buffer.
            if count < BufferPool.smallCapacity / 2 { fullReads = 0 }
        case .wouldBlock: source.isReadable = false
        case .failed: return false
        }
        return true
    }

    /// Gives back what only serves bytes under way. A sender that has paused begins with small buffers again.
    mutating func release(_ worker: RelayWorker) {
        if let buffer {
            worker.loop.buffers.giveBack(buffer)
            self.buffer = nil
        }
        if let pipe {
            worker.pipes.giveBack(pipe, isEmpty: inPipe == 0)
            self.pipe = nil
        }
        (start, end, inPipe) = (0, 0, 0)
    }
}
