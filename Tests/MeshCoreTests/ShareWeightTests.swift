import MeshCore
import Testing

/// Semantics 1.3: a weight that rises from 0 needs an instance, or the last good weights stay.
@Suite struct ShareWeightTests {
    private struct Release {
        var mesh = MeshFixture()

        init(blue: Int, green: Int) {
            mesh.add(.web("blue", host: .any, weight: blue), addresses: "10.0.0.1")
            mesh.add(.web("green", host: .any, weight: green), addresses: "10.0.0.2")
            mesh.compile()
        }

        mutating func set(blue: Int, green: Int) {
            mesh.apply(.upsertService(.web("blue", host: .any, weight: blue)))
            mesh.apply(.upsertService(.web("green", host: .any, weight: green)))
            mesh.compile()
        }

        mutating func green(_ state: InstanceState) {
            mesh.set("green", "10.0.0.2", state)
            mesh.compile()
        }

        var weights: [Int32] { mesh.snapshot.hosts.rules[0].targets.map(\.weight) }
    }

    @Test func severalWeightsChangeInOneSnapshot() {
        var release = Release(blue: 100, green: 0)
        let before = release.mesh.snapshot.generation
        release.set(blue: 0, green: 100)
        #expect(release.weights == [0, 100])
        #expect(release.mesh.snapshot.generation == before + 1)
    }

    @Test func theLastGoodWeightsStayUntilAnInstanceIsHealthy() {
        var release = Release(blue: 100, green: 0)
        release.green(.unhealthy)
        release.set(blue: 0, green: 100)
        #expect(release.weights == [100, 0])
        #expect(
            release.mesh.compiler.problems == [
                "service green: weight 0 stays and does not become 100: no healthy instance; so do those of blue"
            ])
        release.green(.healthy)
        #expect(release.weights == [0, 100])
        #expect(release.mesh.compiler.problems.isEmpty)
        release.green(.unhealthy)
        #expect(release.weights == [0, 100], "what was once had is not taken back")
    }

    @Test func whatDoesNotShareTheRouteIsNotHeldBack() {
        var release = Release(blue: 100, green: 0)
        release.mesh.add(.web("other", host: .exact("other.example"), weight: 30), addresses: "10.0.0.3")
        release.green(.unhealthy)
        release.mesh.apply(.upsertService(.web("other", host: .exact("other.example"), weight: 70)))
        release.set(blue: 50, green: 100)
        #expect(release.weights == [100, 0])
        #expect(release.mesh.compiler.shares.inForce["other"] == 70)
    }

    @Test func withdrawingTheChangeEndsTheWarning() {
        var release = Release(blue: 100, green: 0)
        release.green(.unhealthy)
        release.set(blue: 0, green: 100)
        release.set(blue: 60, green: 0)
        #expect(release.weights == [60, 0])
        #expect(release.mesh.compiler.problems.isEmpty)
    }

    @Test func aNewServiceDoesNotPushOthersOutBeforeItIsHealthy() {
        var release = Release(blue: 100, green: 0)
        release.mesh.apply(.upsertService(.web("red", host: .any, weight: 100)))
        release.set(blue: 0, green: 0)
        #expect(release.weights == [100, 0, 0], "blue stays")
        release.mesh.add("red", "10.0.0.9")
        release.mesh.compile()
        #expect(release.weights == [0, 0, 100])
    }

    @Test func aChangeOverARestartIsOne() {
        var mesh = MeshFixture()
        mesh.compiler.restore(weights: ["blue": 100, "green": 0])
        mesh.add(.web("blue", host: .any, weight: 0), addresses: "10.0.0.1")
        mesh.add(.web("green", host: .any, weight: 100))
        #expect(mesh.compile().hosts.rules[0].targets.map(\.weight) == [100, 0])
    }

    @Test func aNewServiceAloneHasItsWeightAtOnce() {
        var release = Release(blue: 100, green: 0)
        release.mesh.apply(.upsertService(.web("red", host: .any, weight: 40)))
        release.mesh.compile()
        #expect(release.weights == [100, 0, 40])
        #expect(release.mesh.compiler.problems.isEmpty)
    }
}
