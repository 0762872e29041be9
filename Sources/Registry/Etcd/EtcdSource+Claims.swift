public import MeshCore

// What the nodes agree on: VIPs, and numbers of published ports.

extension EtcdSource {
    /// Services that have no agreed VIP, in place of those named before.
    public func want(vips: [VIPWant]) {
        // Before the first reading nobody knows which are taken.
        if counters.reads > 0 { vipClaims?.want(vips) }
    }

    /// Published ports that have no agreed number, in place of those named before.
    ///
    /// - Parameter reserved: numbers that services ask for by name.
    public func want(ports: [PortWant], reserved: Set<PublishedNumber>) {
        if counters.reads > 0 { portClaims?.want(ports, reserved: reserved) }
    }

    func prepareClaims(_ vips: VIPClaims, seed: UInt64) {
        let ofVIPs = EtcdClaims(vips, schema.vipPlace, client, on: loop, seed: seed)
        ofVIPs.present = { [unowned self] in (catalogue.vips.values, catalogue.vips.owners) }
        ofVIPs.claimed = { [unowned self] in counters.vipsClaimed += UInt64($0) }
        let ofPorts = EtcdClaims(PortClaims(), schema.portPlace, client, on: loop, seed: ~seed)
        ofPorts.present = { [unowned self] in (catalogue.ports.values, catalogue.ports.owners) }
        ofPorts.claimed = { [unowned self] in counters.portsClaimed += UInt64($0) }
        (vipClaims, portClaims) = (ofVIPs, ofPorts)
    }

    /// Tells what the last reading or watch has changed.
    func tellAgreed(isFirst: Bool) {
        let vips = catalogue.vips.takeChanged()
        if let vipClaims, isFirst || !vips.isEmpty {
            vipClaims.told(Set(vips.keys))
            callbacks.vips(vips)
        }
        let ports = catalogue.ports.takeChanged()
        if let portClaims, isFirst || !ports.isEmpty {
            portClaims.told(Set(ports.keys))
            callbacks.ports(ports.mapValues { $0?.port })
        }
    }
}

/// What etcd has of one kind of claims: two keys for each, which belong together.
struct ClaimTable<Value: Hashable & Sendable>: Equatable {
    private(set) var values: [String: Value] = [:]
    private(set) var owners: [Value: String] = [:]
    /// Claimants whose value changed since it was last asked.
    private var changed: Set<String> = []

    mutating func set(_ service: String, _ value: Value?) {
        values[service] = value
        changed.insert(service)
    }

    mutating func setOwner(_ value: Value, _ service: String?) { owners[value] = service }

    /// After everything was read anew: only what is different has changed.
    mutating func finish(after before: Self) {
        changed = Set(values.keys).union(before.values.keys).filter { values[$0] != before.values[$0] }
    }

    /// `nil` as a value: none any more.
    mutating func takeChanged() -> [String: Value?] {
        defer { changed = [] }
        return Dictionary(uniqueKeysWithValues: changed.map { ($0, values[$0]) })
    }
}
