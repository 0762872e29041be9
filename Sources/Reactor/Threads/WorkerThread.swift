import CLinux
import Glibc

/// An operating system thread with a name. The owner joins it once.
public struct WorkerThread: ~Copyable {
    private let thread: pthread_t

    /// - Parameter name: at most 15 bytes are shown by the system.
    public init(name: String, _ body: @escaping @Sendable () -> Void) throws(SystemError) {
        let start = Unmanaged.passRetained(Start(name: name, body: body))
        var thread = pthread_t()
        let code = pthread_create(
            &thread, nil,
            { argument in
                let start = Unmanaged<Start>.fromOpaque(argument!).takeRetainedValue()
                _ = pthread_setname_np(pthread_self(), start.name)
                start.body()
                return nil
            }, start.toOpaque())
        guard code == 0 else {
            start.release()
            throw SystemError("pthread_create", code)
        }
        self.thread = thread
    }

    /// Waits for the thread's end.
    public consuming func join() { pthread_join(thread, nil) }
}

private final class Start: Sendable {
    let name: String
    let body: @Sendable () -> Void

    init(name: String, body: @escaping @Sendable () -> Void) {
        self.name = name
        self.body = body
    }
}
