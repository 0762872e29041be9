/// How long after a catalogue was written it is not written again, whatever changes: a large one that changes all the
/// time would cost more than all else that its changes cost.
public enum KeptPause {
    public static let shortestNanoseconds: UInt64 = 5_000_000_000
    public static let longestNanoseconds: UInt64 = 300_000_000_000
    /// Of this many parts of the time encoding takes at most one, as long as the longest pause allows it.
    static let parts: UInt64 = 200

    /// - Parameter duration: how long it took to encode the catalogue, in nanoseconds.
    public static func nanoseconds(afterEncoding duration: UInt64) -> UInt64 {
        let (pause, isTooLong) = duration.multipliedReportingOverflow(by: parts)
        return isTooLong ? longestNanoseconds : min(max(pause, shortestNanoseconds), longestNanoseconds)
    }
}
