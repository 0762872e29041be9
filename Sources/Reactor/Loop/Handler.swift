/// What epoll said of a descriptor.
///
/// Computed and inlinable, because other modules ask for every event: a stored constant costs them a call each.
@frozen public struct Readiness: OptionSet, Sendable {
    public let rawValue: UInt32

    @inlinable public init(rawValue: UInt32) { self.rawValue = rawValue }

    @inlinable public static var readable: Readiness { Readiness(rawValue: 0x001) }
    /// TCP urgent data has come (RFC 9293 section 3.8.5): a read stops short of its mark, though more may follow.
    @inlinable public static var urgent: Readiness { Readiness(rawValue: 0x002) }
    @inlinable public static var writable: Readiness { Readiness(rawValue: 0x004) }
    @inlinable public static var error: Readiness { Readiness(rawValue: 0x008) }
    @inlinable public static var hangup: Readiness { Readiness(rawValue: 0x010) }
    /// The peer will send no more.
    @inlinable public static var peerClosed: Readiness { Readiness(rawValue: 0x2000) }
}

/// Something an `EventLoop` calls: the owner of a descriptor, of a deadline, or of both.
///
/// A class, not a protocol: the loop calls it through one indirect jump. The loop holds a reference from `attach` to
/// `detach`. Every call happens on the loop's thread.
open class Handler {
    /// Place in the loop's table; -1 while not attached.
    final var slot: Int32 = -1
    /// Whether `resume` is already queued.
    final var isQueued = false
    /// Whether `turnEnds` is already asked for.
    final var isFinishing = false

    public init() {}

    /// The descriptor's state changed. Edge-triggered: each change is told once.
    open func ready(_ readiness: Readiness) {}

    /// The deadline set with `EventLoop.setDeadline` has come; there is none any more.
    open func deadlineReached() {}

    /// The turn asked for with `EventLoop.requeue` has come.
    open func resume() {}

    /// The present turn ends, as asked for with `EventLoop.finishTurn`.
    open func turnEnds() {}
}
