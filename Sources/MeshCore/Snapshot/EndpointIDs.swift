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
    /// One container port of one instance.
    struct Slot {
        let instance: String
        let id: Int32
        let incarnation: UInt32
        let address: SocketAddress
    }

    private struct Place: Hashable {
        let service: String
        let containerPort: UInt16
    }

    /// In the order of the instances' ids: a table of all instances would be a walk through memory for each change.
    private var slots: [Place: [Slot]] = [:]
    private var owners: [Int32: EndpointKey] = [:]
    private var ids = RestingIDs()
    private var nextIncarnation: UInt32 = 1
    /// Ids whose living incarnation changed since this was last emptied.
    var changes: [Int: UInt32] = [:]

    func owner(_ id: Int32) -> EndpointKey? { owners[id] }

    func name(_ key: EndpointKey) -> EndpointName? {
        let place = Place(service: key.instance.service, containerPort: key.containerPort)
        guard let list = slots[place] else { return nil }
        var low = 0
        var high = list.count
        while low < high {
            let middle = (low + high) / 2
            if list[middle].instance < key.instance.id { low = middle + 1 } else { high = middle }
        }
        guard low < list.count, list[low].instance == key.instance.id else { return nil }
        return EndpointName(id: list[low].id, incarnation: list[low].incarnation)
    }

    /// Services with an endpoint at one of these addresses.
    func services(where isMeant: (SocketAddress) -> Bool) -> Set<String> {
        var found: Set<String> = []
        for (place, list) in slots where list.contains(where: { isMeant($0.address) }) { found.insert(place.service) }
        return found
    }

    /// A slot for each of these instances, which are all that the service has, in the order of their ids. One that is
    /// reached where it was keeps its slot.
    mutating func assign(_ service: String, _ port: UInt16, _ instances: [InstanceSpec]) -> [Slot] {
        let place = Place(service: service, containerPort: port)
        var before = (slots.removeValue(forKey: place) ?? [])[...]
        var after: [Slot] = []
        after.reserveCapacity(instances.count)
        for instance in instances {
            while let first = before.first, first.instance < instance.id {
                release(first)
                before = before.dropFirst()
            }
            let address = instance.socketAddress(containerPort: port)
            var known = before.first
            if known?.instance == instance.id { before = before.dropFirst() } else { known = nil }
            if let known, known.address == address {
                after.append(known)
            } else {
                if let known { release(known) }
                after.append(make(EndpointKey(instance: instance.key, containerPort: port), address))
            }
        }
        before.forEach { release($0) }
        slots[place] = after
        return after
    }

    private mutating func make(_ key: EndpointKey, _ address: SocketAddress) -> Slot {
        let slot = Slot(instance: key.instance.id, id: ids.take(), incarnation: nextIncarnation, address: address)
        nextIncarnation &+= 1
        owners[slot.id] = key
        changes[Int(slot.id)] = slot.incarnation
        return slot
    }

    /// Takes back all slots of one of the service's ports.
    mutating func release(_ service: String, _ port: UInt16) {
        slots.removeValue(forKey: Place(service: service, containerPort: port))?.forEach { release($0) }
    }

    private mutating func release(_ slot: Slot) {
        owners[slot.id] = nil
        changes[Int(slot.id)] = 0
        ids.giveBack(slot.id)
    }
}
