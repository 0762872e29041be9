import CLinux
import Glibc
import Synchronization

private final class ThreadStart: Sendable {
    let body: @Sendable () -> Void

    init(_ body: @escaping @Sendable () -> Void) { self.body = body }
}

/// Runs `body` on a thread of its own: blocking calls must not sit on the tests' own pool.
func startThread(_ body: @escaping @Sendable () -> Void) {
    var thread = pthread_t()
    let start = Unmanaged.passRetained(ThreadStart(body))
    let code = pthread_create(
        &thread, nil,
        { argument in
            if let argument { Unmanaged<ThreadStart>.fromOpaque(argument).takeRetainedValue().body() }
            return nil
        }, start.toOpaque())
    if code == 0 { pthread_detach(thread) } else { start.release() }
}

/// Opens once; everything that waits for it goes on. A pipe, so that waiting has a bound.
final class Gate: Sendable {
    private let readEnd: Int32
    private let writeEnd: Mutex<Int32>

    init() {
        var ends: [Int32] = [-1, -1]
        // Close-on-exec from the start: a child that inherits the writing end would keep the gate shut.
        _ = pipe2(&ends, O_CLOEXEC)
        readEnd = ends[0]
        writeEnd = Mutex(ends[1])
    }

    func open() {
        writeEnd.withLock {
            if $0 >= 0 { close($0) }
            $0 = -1
        }
    }

    /// Whether the gate opened within `seconds`.
    @discardableResult
    func wait(within seconds: Double = 30) -> Bool {
        var entry = pollfd(fd: readEnd, events: Int16(POLLIN), revents: 0)
        let deadline = monotonicSeconds() + seconds
        while true {
            let left = deadline - monotonicSeconds()
            let count = poll(&entry, 1, Int32(max(0, left) * 1000))
            if count > 0 { return true }
            if count == 0 || errno != EINTR { return false }
        }
    }

    deinit {
        open()
        close(readEnd)
    }
}

/// A number several threads add to.
final class Counter: Sendable {
    private let number = Atomic<Int>(0)

    var value: Int { number.load(ordering: .acquiring) }

    func add(_ amount: Int = 1) { number.add(amount, ordering: .acquiringAndReleasing) }
}

final class Flagged: Sendable {
    private let flag = Atomic<Bool>(false)

    var isSet: Bool { flag.load(ordering: .acquiring) }

    func set() { flag.store(true, ordering: .releasing) }
}
