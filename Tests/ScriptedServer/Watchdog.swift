public import Reactor

/// Ends a loop that a test would otherwise wait for without end.
public final class Watchdog: Handler {
    private let loop: EventLoop
    public private(set) var hasBitten = false

    /// Far beyond what any test takes: it decides between failing and hanging, never about speed.
    private static let patienceNanoseconds: UInt64 = 30_000_000_000

    public init(_ loop: EventLoop) {
        self.loop = loop
        super.init()
        loop.attach(self)
        loop.setDeadline(self, after: Self.patienceNanoseconds)
    }

    override public func deadlineReached() {
        hasBitten = true
        loop.stop()
    }

    /// Runs the loop until it is stopped; `false` where nobody did.
    public func run() -> Bool {
        loop.run()
        loop.detach(self)
        return !hasBitten
    }
}

/// Calls a closure at a time of the loop's clock, once.
public final class Alarm: Handler {
    private let loop: EventLoop
    private let body: () -> Void

    @discardableResult
    public init(_ loop: EventLoop, after nanoseconds: UInt64, _ body: @escaping () -> Void) {
        self.loop = loop
        self.body = body
        super.init()
        loop.attach(self)
        loop.setDeadline(self, after: nanoseconds)
    }

    override public func deadlineReached() {
        loop.detach(self)
        body()
    }
}
