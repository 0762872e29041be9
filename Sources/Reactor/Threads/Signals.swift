import CLinux
import Glibc

/// Signals as events of a loop. Made on the main thread before any other starts, so that all inherit the mask.
public final class Signals: Handler {
    private let descriptor: Int32
    private var received: (Int32) -> Void = { _ in }

    /// Blocks `signals` for the process and ignores SIGPIPE.
    public init(_ signals: [Int32]) throws(SystemError) {
        var mask = sigset_t()
        guard meshd_block_signals(&mask, signals, Int32(signals.count)) == 0, meshd_ignore_sigpipe() == 0 else {
            throw SystemError("pthread_sigmask", errno)
        }
        descriptor = signalfd(-1, &mask, Int32(SFD_CLOEXEC | SFD_NONBLOCK))
        guard descriptor >= 0 else { throw SystemError("signalfd", errno) }
    }

    deinit { close(descriptor) }

    public func open(on loop: EventLoop, received: @escaping (Int32) -> Void) throws(SystemError) {
        self.received = received
        try loop.attach(self, descriptor: descriptor)
    }

    override public func ready(_ readiness: Readiness) {
        var info = signalfd_siginfo()
        while read(descriptor, &info, MemoryLayout<signalfd_siginfo>.size) > 0 { received(Int32(info.ssi_signo)) }
    }
}
