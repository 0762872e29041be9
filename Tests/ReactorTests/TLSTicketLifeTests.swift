import Testing

@testable import Reactor

@Suite struct TLSTicketLifeTests {
    @Test(arguments: [0, 1, 1_700_000_000, 253_402_300_799, Int64.max, Int64.min, -1])
    func itTravelsInEightOctets(seconds: Int64) {
        let octets = TLSTicketLife(endSeconds: seconds).octets
        #expect(octets.count == TLSTicketLife.byteCount)
        octets.withUnsafeBytes { #expect(TLSTicketLife($0) == TLSTicketLife(endSeconds: seconds)) }
    }

    @Test(arguments: [0, 1, 7, 9, 80]) func otherOctetsAreNone(count: Int) {
        [UInt8](repeating: 1, count: count).withUnsafeBytes { #expect(TLSTicketLife($0) == nil) }
    }

    @Test(
        arguments: [
            // end, has a certificate, now, taken
            (nil, false, 100, true), (nil, true, 100, false), (101, true, 100, true), (100, true, 100, false),
            (99, true, 100, false), (0, true, 100, false), (99, false, 100, true),
        ] as [(Int64?, Bool, Int64, Bool)])
    func aTicketEndsWithItsCertificate(end: Int64?, hasCertificate: Bool, now: Int64, taken: Bool) {
        let life = end.map { TLSTicketLife(endSeconds: $0) }
        #expect(TLSTicketLife.allows(life, hasCertificate: hasCertificate, nowSeconds: now) == taken)
    }
}
