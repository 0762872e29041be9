import CLinux
import Glibc

// The only readers of clocks; everything else is handed the time.

public enum MonotonicClock {
    /// Nanoseconds since an arbitrary start; never goes back.
    public static func nowNanoseconds() -> UInt64 { read(CLOCK_MONOTONIC) }
}

public enum WallClock {
    /// Nanoseconds since 1970-01-01 UTC.
    public static func nowNanoseconds() -> UInt64 { read(CLOCK_REALTIME) }
}

private func read(_ clock: clockid_t) -> UInt64 {
    var time = timespec()
    clock_gettime(clock, &time)
    return UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
}
