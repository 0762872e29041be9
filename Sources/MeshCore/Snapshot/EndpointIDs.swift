import NetAddress

/// Names one container port of one instance.
public struct EndpointKey: Hashable, Sendable {
    public let instance: InstanceKey
    public let containerPort: UInt16
}

/// Gives endpoints small ids for workers' tables. An id rests for a while before it is given out again, so that what is
/// still in flight on the old endpoint is not counted to the new one.
struct EndpointIDs {
    private struct Record {
        let id: Int32
        let incarnation: UInt32
        let address: SocketAddress
    }

    private static let restingIDs = 1024

    private var records: [EndpointKey: Record] = [:]
    private var owners: [Int32: EndpointKey] = [:]
    private var resting: [Int32] = []
    private var nextResting = 0
    private var nextID: Int32 = 0
    private var nextIncarnation: UInt32 = 1
    /// Ids whose living incarnation changed since this was last emptied.
    var changes: [Int: UInt32] = [:]

    func owner(_ id: Int32) -> EndpointKey? { owners[id] }

    mutating func endpoint(_ key: EndpointKey, _ address: SocketAddress, weight: Int) -> Endpoint {
        var record = records[key]
        if record?.address != address {
            release(key)
            record = Record(id: takeID(), incarnation: nextIncarnation, address: address)
            nextIncarnation &+= 1
            records[key] = record
            owners[record!.id] = key
            changes[Int(record!.id)] = record!.incarnation
        }
        return Endpoint(id: record!.id, incarnation: record!.incarnation, weight: Int32(clamping: weight), address: address)
    }

    mutating func release(_ key: EndpointKey) {
        guard let record = records.removeValue(forKey: key) else { return }
        owners[record.id] = nil
        changes[Int(record.id)] = 0
        resting.append(record.id)
    }

    private mutating func takeID() -> Int32 {
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
}
