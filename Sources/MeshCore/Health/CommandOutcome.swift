/// What became of a command that was run in an instance's container to learn its health.
public enum CommandOutcome: Equatable, Sendable {
    /// It ended with status 0.
    case passed
    /// It ended with another one, or could not be begun.
    case failed(cause: String)
    case timedOut
    /// The engine could not be asked: says nothing about the instance.
    case notMade(reason: String)
}
