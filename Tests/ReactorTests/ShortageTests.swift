import Glibc
import Testing

@testable import Reactor

@Suite struct ShortageTests {
    @Test(arguments: [
        (EMFILE, Shortage.descriptors), (ENFILE, .descriptors), (EADDRNOTAVAIL, .localPorts), (ENOBUFS, .memory),
        (ENOMEM, .memory), (ENOSPC, .memory), (ECONNREFUSED, nil), (ETIMEDOUT, nil), (0, nil),
    ])
    func eachShortageHasItsName(code: Int32, expected: Shortage?) {
        #expect(SystemError("connect", code).shortage == expected)
        #expect(SystemError("connect", code).isShortage == (expected != nil))
    }

    @Test func theyAreCountedApart() {
        var counters = ShortageCounters()
        for (times, shortage) in Shortage.allCases.enumerated() {
            for _ in 0...times { counters.count(shortage) }
        }
        #expect((counters.descriptors, counters.localPorts, counters.memory) == (1, 2, 3))
    }
}
