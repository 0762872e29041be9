import NetAddress

// The names of services and aliases, and what they resolve to.

extension SnapshotCompiler {
    /// Service names first, so that no alias takes one away; of two equal aliases the first service's stands.
    mutating func compileZone() {
        var entries: [String: [IPAddress]] = [:]
        nameProblems = []
        let sorted = records.sorted { $0.key < $1.key }
        for (name, record) in sorted {
            let tasks = Self.tasksName(name)
            guard entries[tasks] == nil else {
                nameProblems.append("service \(name): its name is already another service's name")
                continue
            }
            if let vip = record.vip { entries[name.lowercased()] = [vip] }
            entries[tasks] = record.tasks
        }
        for (name, record) in sorted {
            guard let vip = record.vip else { continue }
            for alias in record.entry.spec.aliases {
                if let present = entries[alias], present != [vip] {
                    nameProblems.append("service \(name): alias \(alias) is already another service's name")
                } else {
                    entries[alias] = [vip]
                }
            }
        }
        zone = entries.map { ZoneEntry(name: $0.key, addresses: $0.value) }.sorted { $0.name < $1.name }
        zoneChange = .all
    }

    /// Where the instances are that may be picked, each address once, in ascending order.
    static func tasks(_ entry: Catalogue.Entry, _ isHealthy: [Bool]) -> [IPAddress] {
        var addresses: [IPAddress] = []
        for (instance, isHealthy) in zip(entry.instances, isHealthy) where isHealthy && !instance.isDraining {
            addresses.append(instance.address)
        }
        addresses.sort()
        var tasks: [IPAddress] = []
        tasks.reserveCapacity(addresses.count)
        for address in addresses where address != tasks.last { tasks.append(address) }
        return tasks
    }

    private static func tasksName(_ service: String) -> String { "tasks.\(service.lowercased())" }

    /// Puts the healthy instances of these services in place of what the zone said of them.
    mutating func patchZone(_ services: [String]) {
        // Of two services whose names differ in case only, the first has the name.
        guard services.isEmpty || nameProblems.isEmpty else { return compileZone() }
        var changed: [ZoneEntry] = []
        for service in services {
            let name = Self.tasksName(service)
            guard let record = records[service], let index = Self.index(of: name, in: zone) else { continue }
            zone[index] = ZoneEntry(name: name, addresses: record.tasks)
            changed.append(zone[index])
        }
        zoneChange = changed.isEmpty ? .nothing : .addresses(changed)
    }

    private static func index(of name: String, in zone: [ZoneEntry]) -> Int? {
        var low = 0
        var high = zone.count
        while low < high {
            let middle = (low + high) / 2
            if zone[middle].name < name { low = middle + 1 } else { high = middle }
        }
        return low < zone.count && zone[low].name == name ? low : nil
    }
}
