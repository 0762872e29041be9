import NetAddress
import TestSupport
import Testing

@testable import MeshCore

private let vip = IPAddress(v4: 0x7f60_0001)
private let vip6 = IPAddress(high: 0xfd00_0000_0000_0000, low: 1)

private func look(_ zone: Zone, bytes: [UInt8]) -> Zone.Lookup { zone.lookup(bytes.span) }

private func look(_ zone: Zone, _ labels: String...) -> Zone.Lookup {
    look(zone, bytes: labels.flatMap { [UInt8($0.utf8.count)] + Array($0.utf8) })
}

private func isFound(_ lookup: Zone.Lookup) -> Bool {
    if case .found = lookup { return true }
    return false
}

@Suite struct ZoneTests {
    let zone = Zone([
        ZoneEntry(name: "restserver.local", addresses: [vip6, vip]),
        ZoneEntry(name: "web", addresses: [vip]),
        ZoneEntry(name: "tasks.web", addresses: []),
        ZoneEntry(name: "a.b.local", addresses: [vip]),
        ZoneEntry(name: "shopping.company.com", addresses: [vip]),
    ])

    /// However addresses come and go, a zone that was changed is the zone made of what it holds now.
    @Test(arguments: 0..<30)
    func aChangedZoneIsOneMadeAnew(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        func entry(_ index: Int) -> ZoneEntry {
            let list = (0..<random.below(40)).map { _ in
                random.once(in: 3)
                    ? IPAddress(high: 1, low: UInt64(random.below(50))) : IPAddress(v4: UInt32(random.below(50)))
            }
            return ZoneEntry(name: "s\(index).x.local", addresses: list)
        }
        var entries = (0..<20).map { entry($0) }
        var changed = Zone(entries)
        var anew = 0
        for serial in 2..<UInt32(200) {
            let before = changed
            let shown = entries.map { before.addresses(of: $0.name) }
            let changes = (0..<random.below(4)).map { _ in entry(random.below(20)) }
            let names = entries.map(\.name)
            for change in changes { entries[Int(change.name.dropFirst().prefix { $0 != "." })!] = change }
            let whole = Zone(entries, serial: serial)
            if let next = changed.replacing(changes, serial: serial) { changed = next } else { anew += 1 }
            if changed === before { changed = whole }
            for name in names { #expect(changed.addresses(of: name) == whole.addresses(of: name)) }
            #expect(names.map { before.addresses(of: $0) } == shown, "the zone before is what it was")
            #expect(changed.serial == serial && changed.count == whole.count)
        }
        #expect((1...100).contains(anew), "what is left behind is given up now and then")
    }

    @Test func aChangeOfNamesTakesANewZone() {
        #expect(zone.replacing([ZoneEntry(name: "new.local", addresses: [vip])], serial: 2) == nil)
        let merged = Zone([ZoneEntry(name: "web", addresses: [vip]), ZoneEntry(name: "WEB.", addresses: [vip6])])
        #expect(merged.addresses(of: "web") == [vip, vip6])
        #expect(merged.replacing([ZoneEntry(name: "web", addresses: [])], serial: 2) == nil)
        let rejecting = Zone([ZoneEntry(name: "a..b", addresses: [vip])])
        #expect(rejecting.replacing([ZoneEntry(name: "a..b", addresses: [])], serial: 2)?.rejectedNames == ["a..b"])
    }

    @Test func findsNamesWhateverTheirCase() {
        guard case .found(let record, let apex) = look(zone, "RestServer", "LOCAL") else {
            Issue.record("not found")
            return
        }
        #expect(apex == 11)
        #expect(record.v4.map { zone.address(at: $0) } == [vip])
        #expect(record.v6.map { zone.address(at: $0) } == [vip6])
        #expect(zone.addresses(of: "restserver.local.") == [vip, vip6])
        #expect(zone.addresses(of: "Web") == [vip])
    }

    @Test func everythingUnderLocalIsOurs() {
        #expect(look(zone, "nosuch", "local") == .unknown(apexOffset: 7))
        #expect(look(zone, "x", "restserver", "Local") == .unknown(apexOffset: 13))
        #expect(isFound(look(zone, "local")))
    }

    @Test func otherNamesAreOursOnlyIfListed() {
        #expect(isFound(look(zone, "shopping", "company", "com")))
        #expect(look(zone, "company", "com") == .notOurs)
        #expect(look(zone, "x", "web") == .notOurs)
        #expect(look(zone, "nosuchservice") == .notOurs)
        #expect(look(zone, "tasks") == .notOurs)
        #expect(look(zone, bytes: []) == .notOurs)
    }

    @Test func namesBetweenExistWithoutData() {
        guard case .found(let record, 2) = look(zone, "b", "local") else {
            Issue.record("b.local should exist")
            return
        }
        #expect(record.v4.isEmpty && record.v6.isEmpty)
        #expect(isFound(look(zone, "tasks", "web")))
    }

    @Test func aDotInsideALabelIsNotASeparator() {
        #expect(look(zone, "restserver.local") == .notOurs)
        #expect(look(zone, "tasks.web") == .notOurs)
        #expect(look(zone, "x\u{5}local") == .notOurs)
    }

    @Test func entriesOfOneNameAreMerged() {
        let zone = Zone([
            ZoneEntry(name: "web", addresses: [vip]),
            ZoneEntry(name: "WEB.", addresses: [vip, vip6]),
        ])
        #expect(zone.addresses(of: "web") == [vip, vip6])
        #expect(zone.count == 2)
    }

    @Test func namesThatCannotBeInTheDNSAreLeftOut() {
        let long = String(repeating: "a", count: 64)
        let full = Array(repeating: String(repeating: "b", count: 49), count: 5).joined(separator: ".") + ".ccc"
        #expect(full.utf8.count == 253)
        let bad = ["", ".", "a..b", ".a", long, full + "d"]
        let zone = Zone((bad + [full]).map { ZoneEntry(name: $0, addresses: [vip]) })
        #expect(zone.rejectedNames == bad)
        #expect(zone.addresses(of: full) == [vip])
    }

    @Test func anEmptyZoneStillOwnsLocal() {
        let zone = Zone([])
        #expect(look(zone, "x", "local") == .unknown(apexOffset: 2))
        #expect(look(zone, "x") == .notOurs)
    }

    @Test func aLookupOfBrokenLengthsEnds() {
        for bytes in [[63], [200, 5], [1], [0, 0, 0], [5] + Array("loca".utf8)] as [[UInt8]] {
            #expect(look(zone, bytes: bytes) == .notOurs)
        }
    }

    @Test func findsEachOfManyNamesAndNoOther() {
        let count = 20_000
        let zone = Zone(
            (0..<count).map { index in
                let address = IPAddress(v4: UInt32(index))
                return ZoneEntry(name: "service-\(index).local", addresses: [address])
            })
        for index in 0..<count {
            guard case .found(let record, _) = look(zone, "service-\(index)", "local") else {
                Issue.record("service-\(index) is missing")
                return
            }
            #expect(zone.address(at: record.v4.lowerBound) == IPAddress(v4: UInt32(index)))
        }
        for index in count..<count + 5000 {
            #expect(!isFound(look(zone, "service-\(index)", "local")))
        }
    }
}
