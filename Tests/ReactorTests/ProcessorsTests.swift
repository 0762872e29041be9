import Testing

@testable import Reactor

@Suite struct ProcessorsTests {
    @Test(arguments: [
        ("max 100000\n", nil), ("100000 100000\n", 1), ("150000 100000\n", 2), ("1000 100000\n", 1), ("0 100000", nil),
        ("-1 100000", nil), ("100000", nil), ("", nil), ("400000 0", nil), ("9223372036854775807 1", Int.max),
    ])
    func quotaInProcessors(text: String, expected: Int?) {
        #expect(Processors.processors(cpuMax: text) == expected)
    }

    @Test func thereIsOneAtLeast() { #expect(Processors.available >= 1) }
}
