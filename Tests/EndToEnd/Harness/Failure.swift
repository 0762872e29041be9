import Glibc

/// Ends a test with a reason.
struct Failure: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}

/// Seconds on the monotonic clock.
func monotonicSeconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}

/// Asks `condition` again and again until it holds; throws once the bound is passed.
///
/// The bound is generous: it only decides how long a failing test takes, never whether a good one passes.
func eventually(
    within seconds: Double = 15, _ what: @autoclosure () -> String, _ condition: () throws -> Bool
) throws {
    let deadline = monotonicSeconds() + seconds
    while try !condition() {
        guard monotonicSeconds() < deadline else { throw Failure("not within \(seconds) s: \(what())") }
        usleep(10_000)
    }
}

/// Like `eventually`, with a value that is there at the end.
func awaited<T>(
    within seconds: Double = 15, _ what: @autoclosure () -> String, _ value: () throws -> T?
) throws -> T {
    var found: T?
    try eventually(within: seconds, what()) {
        found = try value()
        return found != nil
    }
    guard let found else { throw Failure(what()) }
    return found
}

/// Throws with `what` unless `condition` holds.
func demand(_ condition: Bool, _ what: @autoclosure () throws -> String) throws {
    if !condition { throw Failure(try what()) }
}

func demandEqual<T: Equatable>(_ value: T, _ wanted: T, _ what: @autoclosure () throws -> String) throws {
    if value != wanted { throw Failure("\(try what()): got \(value), wanted \(wanted)") }
}
