import JSONCodec
import MeshCore
import NetAddress

/// A step of the catalogue that etcd's keys describe. Removals carry what was there, for who may want it back, and
/// whether somebody took the instance out: a lease that ends takes whatever is under it, and says no more.
enum EtcdEffect: Equatable {
    case upsertService(ServiceSpec)
    case removeService(ServiceSpec, isOnPurpose: Bool = false)
    case upsertInstance(InstanceSpec)
    case removeInstance(InstanceSpec, isOnPurpose: Bool = false)
}

/// The keys below the prefix as services and instances. Pure.
///
/// A key that cannot be read is named and leaves what was known of it in force; all others are not concerned.
struct EtcdCatalogue {
    /// Services and instances together; further ones are named and left out.
    static let maximumEntries = 1_000_000
    /// Names of malformed keys that are kept; more are only counted.
    static let maximumProblems = 1_000

    private struct Derived {
        let definition: JSONValue
        /// The last one that could be read.
        let service: EtcdService?
        let fault: String?
    }

    private struct Service {
        var declared: EtcdService?
        var instances: [String: EtcdInstance] = [:]
        /// Read from the definition that an instance carries.
        var derived: Derived?

        var isEmpty: Bool { declared == nil && instances.isEmpty }
        var effective: EtcdService? { declared ?? derived?.service }
    }

    let schema: EtcdSchema
    let routingDomain: String?
    private var services: [String: Service] = [:]
    /// Orders by the revision in which they were given.
    private var drains: [InstanceKey: Int64] = [:]
    private var entries = 0
    /// Keys that cannot be read, and why.
    private(set) var problems: [String: String] = [:]
    private(set) var problemCount = 0
    /// Those not told yet.
    private var news: [CatalogueProblem] = []
    var vips = ClaimTable<IPAddress>()
    var ports = ClaimTable<PublishedNumber>()

    init(schema: EtcdSchema, routingDomain: String?) {
        self.schema = schema
        self.routingDomain = routingDomain?.lowercased()
    }

    /// Warnings and complaints that came up since the last call.
    mutating func takeNews() -> [CatalogueProblem] {
        defer { news = [] }
        return news
    }

    // MARK: - Content

    var allServices: [ServiceSpec] {
        services.sorted { $0.key < $1.key }.compactMap { $0.value.effective?.spec }
    }

    var allInstances: [InstanceSpec] { services.sorted { $0.key < $1.key }.flatMap { instances(of: $0.key) } }

    var hasInstances: Bool {
        services.values.contains { !$0.instances.isEmpty || $0.effective?.instances.isEmpty == false }
    }

    private func instances(of name: String) -> [InstanceSpec] {
        guard let service = services[name] else { return [] }
        let own = service.effective?.instances.filter { service.instances[$0.id] == nil } ?? []
        return own.map(drained) + service.instances.values.map { drained($0.spec) }
    }

    private func drained(_ spec: InstanceSpec) -> InstanceSpec {
        guard isInForce(spec.key) else { return spec }
        var spec = spec
        spec.isDraining = true
        return spec
    }

    /// An order concerns the instance that was there when it was given, not one that is announced later under the
    /// same ID.
    private func isInForce(_ key: InstanceKey) -> Bool {
        guard let order = drains[key] else { return false }
        guard let instance = services[key.service]?.instances[key.id] else { return true }
        return instance.createRevision < order
    }

    /// The drain orders in force, each with its revision.
    var drainOrders: [InstanceKey: Int64] { drains.isEmpty ? [:] : drains.filter { isInForce($0.key) } }

    private func instance(_ key: InstanceKey) -> InstanceSpec? {
        guard let service = services[key.service] else { return nil }
        let spec = service.instances[key.id]?.spec ?? service.effective?.instances.first { $0.id == key.id }
        return spec.map(drained)
    }

    // MARK: - A new reading

    /// An empty catalogue that falls back on this one where it meets keys it cannot read.
    func successor() -> EtcdReading {
        EtcdReading(before: self, next: EtcdCatalogue(schema: schema, routingDomain: routingDomain))
    }

    /// Takes over from a catalogue the content was read anew after.
    fileprivate mutating func finish(after before: EtcdCatalogue) {
        for name in services.keys where services[name]?.declared == nil {
            services[name]?.derived = before.services[name]?.derived
            derive(name)
        }
        vips.finish(after: before.vips)
        ports.finish(after: before.ports)
        // What was told before is no news.
        news.removeAll { before.problems[$0.file] == $0.message }
    }

    /// Keeps a key of `before` that cannot be read now.
    fileprivate mutating func keep(_ place: EtcdSchema.Place, of before: EtcdCatalogue) {
        switch place {
        case .service(let name):
            guard let declared = before.services[name]?.declared else { return }
            services[name, default: Service()].declared = declared
        case .instance(let key):
            guard let known = before.services[key.service]?.instances[key.id] else { return }
            services[key.service, default: Service()].instances[key.id] = known
        default: return
        }
        entries += 1
    }

    // MARK: - Changes

    /// Takes in one key; `false` where it cannot be read and what was known stays.
    @discardableResult
    mutating func put(_ pair: EtcdKeyValue) -> Bool { put(pair, schema.place(pair.key)) }

    private mutating func put(_ pair: EtcdKeyValue, _ place: EtcdSchema.Place) -> Bool {
        do throws(TextFault) {
            try store(pair, place)
            resolve(pair.key)
            return true
        } catch {
            complain(pair.key, error.message)
            return false
        }
    }

    private mutating func store(_ pair: EtcdKeyValue, _ place: EtcdSchema.Place) throws(TextFault) {
        switch place {
        case .reserved: return
        case .unknown(let reason): throw TextFault(reason)
        case .drain(let key): drains[key] = pair.modRevision
        case .service(let name):
            let service = try EtcdService.parse(pair.value, name: name, key: pair.key, routingDomain: routingDomain)
            try count(isNew: services[name]?.declared == nil)
            news += service.warnings
            services[name, default: Service()].declared = service
        case .instance(let key):
            var instance = try EtcdInstance.parse(pair, key)
            try count(isNew: services[key.service]?.instances[key.id] == nil)
            // Instances of one service mostly say the same of it, which then is kept once.
            if let known = services[key.service]?.derived?.definition, instance.definition == known {
                instance.definition = known
            }
            services[key.service, default: Service()].instances[key.id] = instance
        case .vipOfService(let name):
            guard let address = IPAddress(String(decoding: pair.value, as: UTF8.self)), !address.isUnspecified else {
                throw TextFault("the value is no IP address")
            }
            vips.set(name, address)
        case .vipAddress(let address): vips.setOwner(address, String(decoding: pair.value, as: UTF8.self))
        case .portOfService(let key):
            guard let number = schema.number(key, String(decoding: pair.value, as: UTF8.self)) else {
                let range = PublishedNumber.range
                throw TextFault("the value is no number from \(range.lowerBound) to \(range.upperBound)")
            }
            ports.set(key, number)
        case .portNumber(let number): ports.setOwner(number, String(decoding: pair.value, as: UTF8.self))
        }
    }

    private mutating func count(isNew: Bool) throws(TextFault) {
        guard isNew else { return }
        guard entries < Self.maximumEntries else { throw TextFault("more than \(Self.maximumEntries) entries") }
        entries += 1
    }

    private mutating func delete(_ key: String, _ place: EtcdSchema.Place) {
        resolve(key)
        switch place {
        case .reserved, .unknown: return
        case .drain(let instance): drains[instance] = nil
        case .service(let name):
            if services[name]?.declared != nil { entries -= 1 }
            services[name]?.declared = nil
        case .instance(let instance):
            if services[instance.service]?.instances.removeValue(forKey: instance.id) != nil { entries -= 1 }
        case .vipOfService(let name):
            vips.set(name, nil)
        case .vipAddress(let address): vips.setOwner(address, nil)
        case .portOfService(let key): ports.set(key, nil)
        case .portNumber(let number): ports.setOwner(number, nil)
        }
    }

    /// What a change of a watched key means.
    ///
    /// - Parameter isAlone: whether no other instance's key was deleted in the same revision.
    mutating func apply(_ change: EtcdChange, isAlone: Bool = false) -> [EtcdEffect] {
        let key: String
        switch change {
        case .put(let pair): key = pair.key
        case .delete(let deleted, _): key = deleted
        }
        let place = schema.place(key)
        var takenOut: InstanceKey?
        if case .instance(let instance) = place {
            if case .delete = change, isTakenOut(instance, isAlone) { takenOut = instance }
            if services[instance.service]?.declared != nil {
                return apply(change, place, toInstance: instance, isTakenOut: takenOut != nil)
            }
        }
        let before = content(concerned(place))
        switch change {
        case .put(let pair): guard put(pair, place) else { return [] }
        case .delete: delete(key, place)
        }
        if let name = place.serviceName {
            if services[name]?.declared == nil { derive(name) }
            if services[name]?.isEmpty == true { services[name] = nil }
        }
        var concerned = concerned(place)
        concerned.instances.formUnion(before.instances.keys)
        return Self.effects(before, content(concerned), takenOut: takenOut)
    }

    /// Whether the instance, where its key is deleted, does not just get lost: it drained before, or is a key that
    /// somebody deletes by itself and no lease can have taken along.
    private func isTakenOut(_ key: InstanceKey, _ isAlone: Bool) -> Bool {
        guard let instance = services[key.service]?.instances[key.id] else { return false }
        return (isAlone && !instance.isLeased) || drained(instance.spec).isDraining
    }

    /// Where the service has a key of its own, an instance's key has a say in that instance alone.
    private mutating func apply(
        _ change: EtcdChange, _ place: EtcdSchema.Place, toInstance key: InstanceKey, isTakenOut: Bool
    ) -> [EtcdEffect] {
        let before = instance(key)
        switch change {
        case .put(let pair): guard put(pair, place) else { return [] }
        case .delete(let deleted, _): delete(deleted, place)
        }
        let after = instance(key)
        guard after != before else { return [] }
        if let after { return [.upsertInstance(after)] }
        return before.map { [.removeInstance($0, isOnPurpose: isTakenOut)] } ?? []
    }

    // MARK: - Effects

    private struct Concerned {
        var service: String?
        var instances: Set<InstanceKey> = []
    }

    private struct Content {
        var spec: ServiceSpec?
        var instances: [InstanceKey: InstanceSpec?] = [:]
    }

    /// What a key has a say in.
    private func concerned(_ place: EtcdSchema.Place) -> Concerned {
        switch place {
        case .service(let name):
            return Concerned(service: name, instances: Set(services[name]?.effective?.instances.map(\.key) ?? []))
        case .instance(let key):
            let own = services[key.service]?.effective?.instances.map(\.key) ?? []
            return Concerned(service: key.service, instances: Set(own).union([key]))
        case .drain(let key): return Concerned(instances: [key])
        case .vipOfService, .vipAddress, .portOfService, .portNumber, .reserved, .unknown: return Concerned()
        }
    }

    private func content(_ concerned: Concerned) -> Content {
        Content(
            spec: concerned.service.flatMap { services[$0]?.effective?.spec },
            instances: Dictionary(uniqueKeysWithValues: concerned.instances.map { ($0, instance($0)) }))
    }

    /// Services first where they come, last where they go.
    private static func effects(_ before: Content, _ after: Content, takenOut: InstanceKey?) -> [EtcdEffect] {
        var effects: [EtcdEffect] = []
        if let spec = after.spec, spec != before.spec { effects.append(.upsertService(spec)) }
        for (key, now) in after.instances.sorted(by: { $0.key < $1.key }) {
            let then = before.instances[key] ?? nil
            guard now != then else { continue }
            if let now {
                effects.append(.upsertInstance(now))
            } else if let then {
                effects.append(.removeInstance(then, isOnPurpose: key == takenOut))
            }
        }
        if let spec = before.spec, after.spec == nil {
            effects.append(.removeService(spec, isOnPurpose: takenOut != nil))
        }
        return effects
    }

    /// Finds what instances say of a service that no key declares: the definition of the one that came last counts,
    /// the same on every node.
    private mutating func derive(_ name: String) {
        guard let service = services[name] else { return }
        let carriers = service.instances.values.filter { $0.definition != nil }
        let newest = carriers.max { ($0.createRevision, $0.spec.id) < ($1.createRevision, $1.spec.id) }
        guard let newest, let definition = newest.definition else {
            services[name]?.derived = nil
            return
        }
        let key = schema.instance(newest.spec.key)
        if let known = service.derived, known.definition == definition {
            if let fault = known.fault { complain(key, fault) }
            return
        }
        do throws(TextFault) {
            let parsed = try EtcdService.parse(definition, name: name, key: key, routingDomain: routingDomain)
            news += parsed.warnings
            services[name]?.derived = Derived(definition: definition, service: parsed, fault: nil)
        } catch {
            let fault = "service: \(error.message)"
            complain(key, fault)
            // What was known of the service stays in force.
            let known = service.derived?.service
            services[name]?.derived = Derived(definition: definition, service: known, fault: fault)
        }
    }

    // MARK: - Complaints

    private mutating func complain(_ key: String, _ message: String) {
        guard problems[key] != message else { return }
        if problems[key] == nil {
            problemCount += 1
            guard problems.count < Self.maximumProblems else { return }
        }
        problems[key] = message
        news.append(CatalogueProblem(file: key, line: 0, column: 0, key: "", message: message))
    }

    private mutating func resolve(_ key: String) {
        if problems.removeValue(forKey: key) != nil { problemCount -= 1 }
    }
}

extension EtcdSchema.Place {
    fileprivate var serviceName: String? {
        switch self {
        case .service(let name): name
        case .instance(let key), .drain(let key): key.service
        case .vipOfService, .vipAddress, .portOfService, .portNumber, .reserved, .unknown: nil
        }
    }
}

/// A catalogue on the way in, page by page.
struct EtcdReading {
    private let before: EtcdCatalogue
    private var next: EtcdCatalogue

    fileprivate init(before: EtcdCatalogue, next: EtcdCatalogue) {
        self.before = before
        self.next = next
    }

    mutating func add(_ pairs: some Sequence<EtcdKeyValue>) {
        for pair in pairs where !next.put(pair) { next.keep(next.schema.place(pair.key), of: before) }
    }

    func finished() -> EtcdCatalogue {
        var catalogue = next
        catalogue.finish(after: before)
        return catalogue
    }
}
