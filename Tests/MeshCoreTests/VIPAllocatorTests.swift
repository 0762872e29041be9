import NetAddress
import TestSupport
import Testing

@testable import MeshCore

@Suite struct VIPAllocatorTests {
    private let range = IPNetwork("127.96.0.0/16")!

    @Test func theSameNameHasTheSameAddressInAnyOrder() {
        let names = (0..<500).map { "service-\($0)" }
        var one = VIPAllocator(range: range)
        for name in names { _ = one.assign(name) }
        var two = VIPAllocator(range: range)
        for name in names { _ = two.assign(name) }
        #expect(one.assigned == two.assigned)
        #expect(Set(one.assigned.values).count == names.count)
        for (name, address) in one.assigned {
            #expect(range.contains(address))
            #expect(one.assign(name) == address)
        }
    }

    /// About one name in thirteen meets another's address and gets the next; no two services share one.
    @Test func tenThousandServices() throws {
        var allocator = VIPAllocator(range: try #require(IPNetwork("127.96.0.0/16")))
        let names = (0..<10_000).map { "service-\($0)" }
        let addresses = Set(names.compactMap { allocator.assign($0) })
        #expect(addresses.count == names.count)
        let moved = names.count { allocator.assigned[$0] != allocator.candidate($0, step: 0) }
        #expect(moved < 1_000)
    }

    @Test func firstAndLastOfTheRangeStayFree() {
        var vips = VIPAllocator(range: IPNetwork("127.96.0.0/28")!)
        #expect(vips.capacity == 14)
        let given = (0..<14).compactMap { vips.assign("s\($0)")?.v4Bits }
        #expect(Set(given) == Set(0x7f60_0001...0x7f60_000e))
        #expect(vips.assign("one too many") == nil)
        vips.release("s3")
        #expect(vips.assign("one too many") != nil, "what was released may be had again")
    }

    @Test(arguments: [
        ("10.0.0.0/30", 2), ("10.0.0.0/31", 1), ("10.0.0.7/32", 1), ("fd00::/64", 1 << 62), ("fd00::/48", 1 << 62),
    ])
    func capacities(text: String, capacity: UInt64) {
        let range = IPNetwork(text)!
        var vips = VIPAllocator(range: range)
        #expect(vips.capacity == capacity)
        let given = (0..<3).compactMap { vips.assign("s\($0)") }
        #expect(given.count == min(3, Int(capacity)))
        #expect(given.allSatisfy(range.contains))
    }

    @Test func aDemandedAddressIsGivenOnce() {
        var vips = VIPAllocator(range: range)
        let wanted = IPAddress("127.96.9.9")!
        let hashed = vips.assign("a")!
        #expect(vips.assign("a", demanded: wanted) == wanted)
        #expect(vips.assign("b", demanded: wanted) == nil)
        #expect(vips.assign("b", demanded: hashed) == hashed, "the address before is free again")
        vips.release("a")
        #expect(vips.assign("c", demanded: wanted) == wanted)
    }

    @Test func addressesOutsideTheRangeDoNotUseItUp() {
        var vips = VIPAllocator(range: IPNetwork("10.0.0.0/30")!)
        for index in 0..<4 { #expect(vips.assign("x\(index)", demanded: IPAddress("192.0.2.\(index)")!) != nil) }
        #expect(vips.assign("a") != nil)
        #expect(vips.assign("b") != nil)
        #expect(vips.assign("c") == nil)
    }

    /// Start places must be spread over the whole range, or collisions, which depend on the order of arrival, are
    /// more frequent than need be.
    @Test func hashesSpread() {
        let capacity = VIPAllocator(range: range).capacity
        for modulus: UInt64 in [2, 3, 7, 16, 31] {
            var counts = [Int](repeating: 0, count: Int(modulus))
            for index in 0..<8_000 { counts[Int(VIPAllocator.hash("service-\(index)") % capacity % modulus)] += 1 }
            let fair = 8_000 / Int(modulus)
            #expect(counts.allSatisfy { $0 > fair * 7 / 10 && $0 < fair * 13 / 10 }, "modulo \(modulus): \(counts)")
        }
    }

    /// Operators have these addresses in their configurations: they never change.
    /// FNV-1a of the name, folded, times 2^64 / φ, shifted.
    @Test(
        arguments: [
            ("", 0x8570e254d5cb),
            ("web", 0x98157ab72453),
            ("restserver", 0xbe53fdd69102),
            ("mysql", 0xa1dd0932fd27),
            ("shop-web", 0x1e0dfb076a64),
        ] as [(String, UInt64)])
    func pinnedHashes(name: String, hash: UInt64) { #expect(VIPAllocator.hash(name) == hash) }

    @Test(arguments: 0..<10)
    func neverTwoServicesOnOneAddress(seed: Int) {
        var random = SeededRandom(seed: UInt64(seed))
        let small = IPNetwork("10.0.0.0/27")!
        var vips = VIPAllocator(range: small)
        var model: [String: IPAddress] = [:]
        for _ in 0..<2_000 {
            let name = "s\(random.below(45))"
            switch random.below(4) {
            case 0:
                vips.release(name)
                model[name] = nil
            case 1:
                let wanted = small.address(at: random.next())
                let isTaken = model.contains { $0.value == wanted && $0.key != name }
                let given = vips.assign(name, demanded: wanted)
                #expect(given == (isTaken ? nil : wanted))
                model[name] = given
            default:
                let given = vips.assign(name)
                if let before = model[name] { #expect(given == before) } else { model[name] = given }
            }
            #expect(vips.assigned == model)
            #expect(Set(model.values).count == model.count)
        }
    }
}

@Suite struct VIPAgreementTests {
    private let range = IPNetwork("10.0.0.0/24")

    @Test func nothingIsChosenHereOnceNodesAgree() throws {
        var vips = VIPAllocator(range: try #require(range))
        let first = vips.assign("kept")
        let own = try #require(first)
        vips.agree([:])
        #expect(vips.assign("new") == nil)
        #expect(vips.assign("kept") == own, "until there is another")
        #expect(vips.wants == [VIPWant(service: "kept", preferred: own), VIPWant(service: "new")])
        vips.agree(["new": IPAddress("10.0.0.9"), "kept": own])
        #expect(vips.assign("new") == IPAddress("10.0.0.9"))
        #expect(vips.assign("kept") == own)
        #expect(vips.wants.isEmpty)
        vips.release("new")
        #expect(vips.assign("new") == IPAddress("10.0.0.9"), "the same when it comes back")
    }

    @Test func anAgreedAddressIsTakenFromWhoHasItWithout() throws {
        var vips = VIPAllocator(range: try #require(range))
        let first = vips.assign("a")
        let own = try #require(first)
        vips.agree(["b": own])
        #expect(vips.assign("b") == own)
        #expect(vips.takeEvicted() == ["a"])
        #expect(vips.takeEvicted() == [])
        #expect(vips.assign("a") == nil)
        // Two services with one agreed address: the second has none.
        vips.agree(["a": own])
        #expect(vips.assign("a") == nil)
        #expect(vips.assign("b") == own)
    }

    @Test func aDemandedAddressIsWantedUntilItIsAgreedOn() throws {
        var vips = VIPAllocator(range: try #require(range))
        vips.agree(["a": IPAddress("10.0.0.1")])
        #expect(vips.assign("a", demanded: IPAddress("10.0.0.2")) == IPAddress("10.0.0.1"))
        #expect(vips.wants.map(\.demanded) == [IPAddress("10.0.0.2")])
        vips.agree(["a": IPAddress("10.0.0.2")])
        #expect(vips.assign("a", demanded: IPAddress("10.0.0.2")) == IPAddress("10.0.0.2"))
        #expect(vips.wants.isEmpty)
    }
}
