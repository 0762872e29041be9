import NetAddress
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
