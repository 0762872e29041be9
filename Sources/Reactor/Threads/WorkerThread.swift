import CLinux
import Glibc

/// An operating system thread with a name. The owner joins it once.
public struct WorkerThread: ~Copyable {
    private let thread: pthread_t

    /// - Parameters:
    ///   - name: at most 15 bytes are shown by the system.
    ///   - isPatient: whether it runs only in time that nobody else wants.
    public init(
        name: String, isPatient: Bool = false, _ body: @escaping @Sendable () -> Void
    ) throws(SystemError) {
        let start = Unmanaged.passRetained(Start(name: name, isPatient: isPatient, body: body))
        var thread = pthread_t()
        let code = pthread_create(
            &thread, nil,
            { argument in
                let start = Unmanaged<Start>.fromOpaque(argument!).takeRetainedValue()
                _ = pthread_setname_np(pthread_self(), start.name)
                // On Linux of this thread alone. Where it fails the thread works all the same.
                if start.isPatient { _ = nice(19) }
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
    let isPatient: Bool
    let body: @Sendable () -> Void

    init(name: String, isPatient: Bool, body: @escaping @Sendable () -> Void) {
        self.name = name
        self.isPatient = isPatient
        self.body = body
    }
}
