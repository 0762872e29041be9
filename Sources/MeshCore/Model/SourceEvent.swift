/// What a source tells the catalogue. The vocabulary of every registry watch.
///
/// `revision` grows with each change of the source; an event whose revision is not above the last applied one of
/// the same source is stale and dropped.
public struct SourceEvent: Sendable, Equatable {
    public enum Change: Sendable, Equatable {
        /// The source's whole present state; what it does not hold is gone. The catalogue diffs it.
        case reset(services: [ServiceSpec], instances: [InstanceSpec])
        case upsertService(ServiceSpec)
        case removeService(name: String)
        case upsertInstance(InstanceSpec)
        case removeInstance(InstanceKey)
    }

    /// Name of the source: its registry URL.
    public let source: String
    public let revision: UInt64
    public let change: Change

    public init(source: String, revision: UInt64, change: Change) {
        self.source = source
        self.revision = revision
        self.change = change
    }
}
