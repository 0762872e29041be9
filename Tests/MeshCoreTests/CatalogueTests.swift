import MeshCore
import NetAddress
import TestSupport
import Testing

@Suite struct CatalogueTests {
    private func event(_ source: String, _ revision: UInt64, _ change: SourceEvent.Change) -> SourceEvent {
        SourceEvent(source: source, revision: revision, change: change)
    }

    private func instance(_ service: String, _ id: String, _ address: String = "10.0.0.1") -> InstanceSpec {
        InstanceSpec(id: id, service: service, address: IPAddress(address)!)
    }

    @Test func instancesOfAllSourcesAddUp() {
        var catalogue = Catalogue(sources: ["file", "etcd"])
        #expect(catalogue.apply(event("etcd", 1, .upsertInstance(instance("web", "b")))) == [], "no service yet")
        #expect(catalogue.apply(event("file", 1, .upsertService(ServiceSpec(name: "web")))) == ["web"])
        #expect(catalogue.apply(event("file", 2, .upsertInstance(instance("web", "a")))) == ["web"])
        #expect(catalogue.entries["web"]?.instances.map(\.id) == ["a", "b"])
    }

    @Test func theSourceNamedFirstWins() {
        var catalogue = Catalogue(sources: ["file", "etcd"])
        _ = catalogue.apply(event("etcd", 9, .upsertService(ServiceSpec(name: "web", weight: 1))))
        _ = catalogue.apply(event("etcd", 10, .upsertInstance(instance("web", "a", "10.0.0.9"))))
        #expect(catalogue.entries["web"]?.spec.weight == 1)
        #expect(catalogue.apply(event("file", 1, .upsertService(ServiceSpec(name: "web", weight: 2)))) == ["web"])
        _ = catalogue.apply(event("file", 2, .upsertInstance(instance("web", "a", "10.0.0.1"))))
        #expect(catalogue.entries["web"]?.spec.weight == 2)
        #expect(catalogue.entries["web"]?.instances == [instance("web", "a", "10.0.0.1")])
        #expect(catalogue.apply(event("etcd", 11, .upsertService(ServiceSpec(name: "web", weight: 3)))) == [])
        #expect(catalogue.apply(event("file", 3, .removeService(name: "web"))) == ["web"])
        #expect(catalogue.entries["web"]?.spec.weight == 3, "the next source takes over")
    }

    @Test func ordersToDrainOutliveEveryEvent() {
        var catalogue = Catalogue(sources: ["file"])
        func drained() -> [String] { catalogue.entries["web"]?.instances.filter(\.isDraining).map(\.id) ?? [] }
        _ = catalogue.apply(event("file", 1, .upsertService(ServiceSpec(name: "web"))))
        #expect(catalogue.drain([instance("web", "a").key, instance("web", "later").key]).isEmpty)
        _ = catalogue.apply(event("file", 2, .upsertInstance(instance("web", "a"))))
        _ = catalogue.apply(event("file", 3, .upsertInstance(instance("web", "b"))))
        #expect(drained() == ["a"])
        _ = catalogue.apply(event("file", 4, .upsertInstance(instance("web", "a", "10.0.0.7"))))
        _ = catalogue.apply(event("file", 5, .upsertInstance(instance("web", "later"))))
        #expect(drained() == ["a", "later"])
        let again = [instance("web", "a"), instance("web", "b")]
        _ = catalogue.apply(event("file", 6, .reset(services: [ServiceSpec(name: "web")], instances: again)))
        #expect(drained() == ["a"])
        #expect(catalogue.drain([instance("web", "b").key]) == ["web"])
        #expect(drained() == ["b"])
        #expect(catalogue.drain([]) == ["web"])
        #expect(drained() == [])
    }

    /// One event after the other leads where each source's last word leads, and names what it changed.
    @Test(arguments: 0..<30)
    func stepsLeadWhereResetsLead(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let names = ["file", "etcd"]
        var catalogue = Catalogue(sources: names)
        for revision in 1...UInt64(100) {
            let service = "s\(random.below(3))"
            let known = instance(service, "i\(random.below(5))", "10.0.0.\(random.below(3))")
            let change: SourceEvent.Change
            switch random.below(8) {
            case 0: change = .upsertService(ServiceSpec(name: service, weight: random.below(3)))
            case 1: change = .removeService(name: service)
            case 2...4: change = .removeInstance(known.key)
            default: change = .upsertInstance(known)
            }
            let before = catalogue.entries
            let touched = catalogue.apply(event(random.element(of: names), revision, change))
            let different = Set(before.keys).union(catalogue.entries.keys)
                .filter { before[$0] != catalogue.entries[$0] }
            #expect(touched == different, "seed \(seed), revision \(revision)")
        }
        var fresh = Catalogue(sources: names)
        for name in names {
            let content = catalogue.content(of: name)
            _ = fresh.apply(
                event(
                    name, 1,
                    .reset(services: content?.sortedServices ?? [], instances: content?.sortedInstances ?? [])))
        }
        #expect(fresh.entries == catalogue.entries)
    }

    @Test func staleAndRepeatedEventsChangeNothing() {
        var catalogue = Catalogue(sources: ["file"])
        #expect(catalogue.apply(event("file", 5, .upsertService(ServiceSpec(name: "web", weight: 5)))) == ["web"])
        #expect(catalogue.apply(event("file", 5, .upsertService(ServiceSpec(name: "web", weight: 6)))) == [])
        #expect(catalogue.apply(event("file", 4, .removeService(name: "web"))) == [])
        #expect(
            catalogue.apply(event("file", 6, .upsertService(ServiceSpec(name: "web", weight: 5)))) == [], "no change")
        #expect(catalogue.apply(event("file", 5, .removeService(name: "web"))) == [], "a no-change event counts too")
        #expect(catalogue.entries["web"]?.spec.weight == 5)
    }

    @Test func aFirstRevisionMayBeZero() {
        var catalogue = Catalogue(sources: ["file"])
        #expect(!catalogue.hasHeard(from: "file"))
        #expect(catalogue.apply(event("file", 0, .upsertService(ServiceSpec(name: "web")))) == ["web"])
        #expect(catalogue.hasHeard(from: "file"))
        #expect(catalogue.apply(event("file", 0, .removeService(name: "web"))) == [])
    }

    @Test func revisionsOfSourcesAreApart() {
        var catalogue = Catalogue(sources: ["file", "etcd"])
        _ = catalogue.apply(event("etcd", 1_000, .upsertService(ServiceSpec(name: "a"))))
        #expect(catalogue.apply(event("file", 1, .upsertService(ServiceSpec(name: "b")))) == ["b"])
    }

    @Test func resetNamesOnlyWhatDiffers() {
        var catalogue = Catalogue(sources: ["file"])
        let kept = ServiceSpec(name: "kept")
        _ = catalogue.apply(
            event(
                "file", 1,
                .reset(
                    services: [kept, ServiceSpec(name: "gone"), ServiceSpec(name: "changed")],
                    instances: [instance("kept", "a"), instance("changed", "a"), instance("orphan", "x")])))
        let touched = catalogue.apply(
            event(
                "file", 2,
                .reset(
                    services: [kept, ServiceSpec(name: "changed"), ServiceSpec(name: "new")],
                    instances: [instance("kept", "a"), instance("changed", "b"), instance("orphan", "y")])))
        #expect(touched == ["gone", "changed", "new"])
        #expect(Set(catalogue.entries.keys) == ["kept", "changed", "new"])
        #expect(catalogue.entries["changed"]?.instances.map(\.id) == ["b"])
    }

    @Test func resetOfOneSourceLeavesTheOthersInstances() {
        var catalogue = Catalogue(sources: ["file", "etcd"])
        _ = catalogue.apply(event("file", 1, .upsertService(ServiceSpec(name: "web"))))
        _ = catalogue.apply(event("file", 2, .upsertInstance(instance("web", "a"))))
        _ = catalogue.apply(event("etcd", 1, .upsertInstance(instance("web", "b"))))
        #expect(catalogue.apply(event("etcd", 2, .reset(services: [], instances: []))) == ["web"])
        #expect(catalogue.entries["web"]?.instances.map(\.id) == ["a"])
        #expect(catalogue.apply(event("etcd", 3, .reset(services: [], instances: []))) == [])
    }

    @Test func aSourceThatIsNotConfiguredIsNotMerged() {
        var catalogue = Catalogue(sources: ["file"])
        #expect(catalogue.apply(event("stranger", 1, .upsertService(ServiceSpec(name: "web")))) == [])
        #expect(catalogue.entries.isEmpty)
    }

    /// Any order of events ends where one reset to the same state ends, and the names returned are exactly those whose
    /// entry differs.
    @Test(arguments: 0..<20)
    func eventsAndResetAgree(seed: Int) {
        var random = SeededRandom(seed: UInt64(seed))
        var catalogue = Catalogue(sources: ["one", "two"])
        var revisions: [String: UInt64] = ["one": 0, "two": 0]
        var services: [String: [String: ServiceSpec]] = ["one": [:], "two": [:]]
        var instances: [String: [InstanceKey: InstanceSpec]] = ["one": [:], "two": [:]]
        for _ in 0..<300 {
            let source = random.element(of: ["one", "two"])
            revisions[source]! += 1
            let name = "s\(random.below(4))"
            let spec = ServiceSpec(name: name, weight: random.below(3))
            let instance = instance(name, "i\(random.below(3))", "10.0.0.\(random.below(3))")
            let change: SourceEvent.Change
            switch random.below(5) {
            case 0: (change, services[source]![name]) = (.upsertService(spec), spec)
            case 1: (change, services[source]![name]) = (.removeService(name: name), nil)
            case 2: (change, instances[source]![instance.key]) = (.removeInstance(instance.key), nil)
            case 3: (change, instances[source]![instance.key]) = (.upsertInstance(instance), instance)
            default:
                change = .reset(
                    services: Array(services[source]!.values).shuffled(using: &random),
                    instances: Array(instances[source]!.values).shuffled(using: &random))
            }
            let before = catalogue.entries
            let touched = catalogue.apply(event(source, revisions[source]!, change))
            let names = Set(before.keys).union(catalogue.entries.keys)
            #expect(touched == names.filter { before[$0] != catalogue.entries[$0] })
        }
        var direct = Catalogue(sources: ["one", "two"])
        for source in ["one", "two"] {
            let change = SourceEvent.Change.reset(
                services: Array(services[source]!.values), instances: Array(instances[source]!.values))
            _ = direct.apply(event(source, 1, change))
        }
        #expect(direct.entries == catalogue.entries)
    }
}

/// An engine sees what runs; etcd repeats what nodes say.
@Suite struct CatalogueWitnessTests {
    private func instance(_ verdict: AnnouncedVerdict?, isDraining: Bool = false) -> InstanceSpec {
        InstanceSpec(id: "1", service: "web", address: .loopbackV4, isDraining: isDraining, verdict: verdict)
    }

    private func catalogue() -> Catalogue {
        var catalogue = Catalogue(sources: ["etcd", "engine"], witnesses: ["engine"])
        let web = ServiceSpec(name: "web")
        for source in ["etcd", "engine"] {
            let told = [instance(source == "etcd" ? .healthy : nil)]
            _ = catalogue.apply(
                SourceEvent(source: source, revision: 1, change: .reset(services: [web], instances: told)))
        }
        return catalogue
    }

    private func apply(
        _ catalogue: inout Catalogue, _ source: String, _ revision: UInt64, _ change: SourceEvent.Change
    ) -> [InstanceSpec] {
        _ = catalogue.apply(SourceEvent(source: source, revision: revision, change: change))
        return catalogue.entries["web"]?.instances ?? []
    }

    @Test func theWitnessHasTheWord() { #expect(catalogue().entries["web"]?.instances == [instance(nil)]) }

    @Test func whatItSawEndIsGoneWhoeverRepeatsIt() {
        var catalogue = catalogue()
        let key = instance(nil).key
        #expect(apply(&catalogue, "engine", 2, .removeInstance(key)) == [])
        // A late echo, and the end of it.
        #expect(apply(&catalogue, "etcd", 2, .upsertInstance(instance(.starting))) == [])
        #expect(apply(&catalogue, "etcd", 3, .removeInstance(key)) == [])
        // Whoever has it anew is believed.
        #expect(apply(&catalogue, "etcd", 4, .upsertInstance(instance(.healthy))) == [instance(.healthy)])
        #expect(apply(&catalogue, "engine", 3, .upsertInstance(instance(nil))) == [instance(nil)])
        #expect(apply(&catalogue, "engine", 4, .reset(services: [], instances: [])) == [])
        #expect(apply(&catalogue, "engine", 5, .upsertInstance(instance(nil))) == [instance(nil)])
        // The engine itself is gone: what others say is all there is.
        var other = Catalogue(sources: ["etcd", "engine"], witnesses: ["engine"])
        let web = ServiceSpec(name: "web")
        let told = SourceEvent.Change.reset(services: [web], instances: [instance(.healthy)])
        #expect(apply(&other, "etcd", 1, told) == [instance(.healthy)])
    }

    /// Each of those who repeat it has to let go of it by itself.
    @Test func oneSourcesSilenceIsNoNewsOfAnother() {
        let web = ServiceSpec(name: "web")
        let key = instance(nil).key
        let told = SourceEvent.Change.reset(services: [web], instances: [instance(.healthy)])
        var catalogue = Catalogue(sources: ["file", "etcd", "engine"], witnesses: ["engine"])
        for source in ["etcd", "engine"] { _ = apply(&catalogue, source, 1, told) }
        #expect(apply(&catalogue, "engine", 2, .removeInstance(key)) == [])
        #expect(apply(&catalogue, "file", 1, .reset(services: [web], instances: [])) == [])
        #expect(apply(&catalogue, "file", 2, .removeInstance(key)) == [])
        #expect(apply(&catalogue, "etcd", 2, .upsertInstance(instance(.starting))) == [])
        #expect(apply(&catalogue, "etcd", 3, .reset(services: [web], instances: [])) == [])
        #expect(apply(&catalogue, "etcd", 4, told) == [instance(.healthy)])
    }

    @Test func itDrainsWhereAnyoneSaysSo() {
        var catalogue = catalogue()
        let drained = apply(&catalogue, "etcd", 2, .upsertInstance(instance(.healthy, isDraining: true)))
        #expect(drained == [instance(nil, isDraining: true)])
    }
}
