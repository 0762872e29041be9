import MeshCore
import Testing

@Suite struct AnnouncedVerdictTests {
    @Test func verdictsOfAnotherNode() {
        var health = HealthState(probe: nil)
        health.announced(.unhealthy(cause: "no answer"))
        #expect((health.state, health.cause) == (.unhealthy, "no answer"))
        health.announced(.starting)
        #expect((health.state, health.cause) == (.starting, nil))
        health.announced(.healthy)
        #expect(health.state == .healthy)
    }

    @Test func anEjectionLastsItsTimeWhateverTheOtherNodeFinds() {
        var health = HealthState(probe: nil)
        #expect(health.dialsFailed(3, cause: "refused", nowNanoseconds: 0) == true)
        health.announced(.healthy)
        #expect(health.state == .ejected)
        #expect(health.timePassed(nowNanoseconds: 100_000_000_000) == true)
        #expect(health.state == .healthy)
        #expect(health.dialsFailed(3, cause: "refused", nowNanoseconds: 0) == true)
        health.announced(.unhealthy(cause: nil))
        #expect((health.state, health.readmitAtNanoseconds) == (.unhealthy, nil))
    }
}
