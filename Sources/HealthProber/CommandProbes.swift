public import MeshCore

/// How commands are run in instances' containers, for probes that ask for it.
public struct CommandProbes {
    /// Starts a command and returns what ends it. The outcome is told once, on the loop, never from within the call.
    public typealias Run = (
        _ words: [String], _ instance: InstanceKey, _ timeoutNanoseconds: UInt64,
        _ done: @escaping (CommandOutcome) -> Void
    ) -> () -> Void

    /// Whether commands can be run for an instance; where not, it has no probe.
    public var canRun: (InstanceKey) -> Bool
    public var run: Run

    public init(canRun: @escaping (InstanceKey) -> Bool = { _ in false }, run: @escaping Run = { _, _, _, _ in {} }) {
        self.canRun = canRun
        self.run = run
    }
}
