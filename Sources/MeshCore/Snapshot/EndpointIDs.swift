import NetAddress

/// Names one container port of one instance.
public struct EndpointKey: Hashable, Sendable {
    public let instance: InstanceKey
    public let containerPort: UInt16
}

/// Small dense ids. One that was given back rests until many others have been, so that whoever still holds it meets
/// nothing rather than its next owner.
struct RestingIDs {
    private static let restingIDs = 1024

    private var resting: [Int32] = []
    private var nextResting = 0
    private var nextID: Int32 = 0

    mutating func take() -> Int32 {
        if resting.count - nextResting > Self.restingIDs {
            let id = resting[nextResting]
            nextResting += 1
            if nextResting > 4 * Self.restingIDs {
                resting.removeFirst(nextResting)
                nextResting = 0
            }
            return id
        }
        nextID += 1
        return nextID - 1
    }

    mutating func giveBack(_ id: Int32) { resting.append(id) }
}

/// Gives endpoints small ids for workers' tables. Ids rest, so that what is still in flight on an old endpoint is not
/// counted to a new one.
struct EndpointIDs {
    private struct Record {
        let id: Int32
        let incarnation: UInt32
        let address: SocketAddress
    }

    private var records: [EndpointKey: Record] = [:]
    private var owners: [Int32: EndpointKey] = [:]
    private var ids = RestingIDs()
    private var nextIncarnation: UInt32 = 1
    /// Ids whose living incarnation changed since this was last emptied.
    var changes: [Int: UInt32] = [:]

    func owner(_ id: Int32) -> EndpointKey? { owners[id] }

    func name(_ key: EndpointKey) -> EndpointName? {
        records[key].map { EndpointName(id: $0.id, incarnation: $0.incarnation) }
    }

    mutating func endpoint(
        _ key: EndpointKey, _ address: SocketAddress, weight: Int, session: UInt64 = 0,
        speaks: InstanceProtocol = .http1
    ) -> Endpoint {
        var record = records[key]
        if record?.address != address {
            release(key)
            record = Record(id: ids.take(), incarnation: nextIncarnation, address: address)
            nextIncarnation &+= 1
            records[key] = record
            owners[record!.id] = key
            changes[Int(record!.id)] = record!.incarnation
        }
        return Endpoint(
            id: record!.id, incarnation: record!.incarnation, weight: Int32(clamping: weight), session: session,
            address: address, speaks: speaks)
    }

    mutating func release(_ key: EndpointKey) {
        guard let record = records.removeValue(forKey: key) else { return }
        owners[record.id] = nil
        changes[Int(record.id)] = 0
        ids.giveBack(record.id)
    }
}
