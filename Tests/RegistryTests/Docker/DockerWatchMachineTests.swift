import TestSupport
import Testing

@testable import Registry

private typealias Machine = DockerWatchMachine

private func summary(_ id: String) -> DockerSummary { DockerSummary(id: id, concernsMesh: true) }

private func container(_ id: String, version: Int = 0) -> DockerContainer {
    DockerContainer(id: id, name: id, created: "\(version)")
}

private func changed(_ id: String, isOurs: Bool = true) -> Machine.Event {
    .event(DockerEvent(kind: .changed, id: id, concernsMesh: isOurs))
}

private func gone(_ id: String) -> Machine.Event {
    .event(DockerEvent(kind: .gone, id: id, concernsMesh: true))
}

/// Without timers, whose length is for another test.
private func run(_ machine: inout Machine, _ event: Machine.Event, at now: UInt64 = 0) -> [Machine.Action] {
    machine.handle(event, nowNanoseconds: now, random: 0).filter { if case .timer = $0 { false } else { true } }
}

private let second: UInt64 = 1_000_000_000
private let term = 15

private func signalled(_ id: String, _ signal: Int = term) -> Machine.Event {
    .event(DockerEvent(kind: .signalled(signal), id: id, concernsMesh: true))
}

/// One that has read these containers and watches.
private func watching(_ ids: String...) -> Machine {
    var machine = Machine()
    _ = run(&machine, .start)
    _ = run(&machine, .opened)
    _ = run(&machine, .listed(ids.map(summary)))
    for id in ids { _ = run(&machine, .inspected(container(id))) }
    return machine
}

@Suite struct DockerWatchMachineTests {
    @Test func eventsFirstThenTheListThenEachContainer() {
        var machine = Machine()
        #expect(run(&machine, .start) == [.openEvents])
        #expect(run(&machine, .opened) == [.list])
        let other = DockerSummary(id: "z", concernsMesh: false)
        #expect(run(&machine, .listed([summary("b"), other, summary("a")])) == [.inspect(id: "a"), .inspect(id: "b")])
        #expect(run(&machine, .inspected(container("b"))) == [.put(container("b"))])
        #expect(
            run(&machine, .inspectFailed(id: "a", .refused(status: 404, message: ""))) == [
                .remove(id: "a"), .commit(ids: ["a", "b"]), .heard,
            ])
    }

    @Test func anEngineWithoutContainersIsReadAtOnce() {
        var machine = Machine()
        _ = run(&machine, .start)
        _ = run(&machine, .opened)
        #expect(run(&machine, .listed([])) == [.commit(ids: []), .heard])
    }

    @Test func changesOfOneContainerAreLookedAtOnce() {
        var machine = watching("a")
        #expect(run(&machine, changed("a")) == [.inspect(id: "a")])
        // Three more while it is being looked at: what comes is old, one more look is enough.
        for _ in 0..<3 { #expect(run(&machine, changed("a")) == []) }
        #expect(run(&machine, .inspected(container("a"))) == [.inspect(id: "a")])
        #expect(run(&machine, .inspected(container("a", version: 1))) == [.put(container("a", version: 1))])
    }

    @Test func whatEndedIsGoneAtOnce() {
        var machine = watching("a")
        #expect(run(&machine, changed("a")) == [.inspect(id: "a")])
        #expect(run(&machine, gone("a")) == [.remove(id: "a")])
        // The answer under way is older than the event.
        #expect(run(&machine, .inspected(container("a"))) == [.inspect(id: "a")])
        let failure = DockerFailure.refused(status: 404, message: "")
        #expect(run(&machine, .inspectFailed(id: "a", failure)) == [.remove(id: "a")])
        #expect(run(&machine, gone("a")) == [])
    }

    @Test func othersContainersAreNotLookedAt() {
        var machine = watching("a")
        #expect(run(&machine, changed("z", isOurs: false)) == [])
        #expect(run(&machine, gone("z")) == [])
        // Of a network's event it is not known whose the container is.
        #expect(run(&machine, changed("a", isOurs: false)) == [.inspect(id: "a")])
    }

    @Test func soManyAtOneTime() {
        var machine = Machine()
        _ = run(&machine, .start)
        _ = run(&machine, .opened)
        let ids = (10..<50).map { "c\($0)" }
        #expect(run(&machine, .listed(ids.map(summary))).count == Machine.inspectLimit)
        #expect(run(&machine, .inspected(container("c10"))) == [.put(container("c10")), .inspect(id: "c18")])
    }

    @Test func aFailedLookIsOfOneContainer() {
        var machine = watching("a", "b")
        _ = run(&machine, changed("a"))
        let failure = DockerFailure.refused(status: 500, message: "broken")
        #expect(run(&machine, .inspectFailed(id: "a", failure)) == [.unreadable(id: "a", failure)])
        _ = run(&machine, changed("a"))
        let away = DockerFailure.unreachable("gone")
        #expect(run(&machine, .inspectFailed(id: "a", away)) == [.closeAll, .failing(away)])
        #expect(run(&machine, .timer) == [.openEvents])
    }

    @Test func anEngineThatIsSilentIsLeft() {
        var machine = watching("a")
        #expect(run(&machine, .timer) == [.ping])
        #expect(run(&machine, .pinged) == [.heard])
        #expect(run(&machine, .timer) == [.ping])
        let failure = DockerFailure.unreachable("timed out")
        #expect(run(&machine, .pingFailed(failure)) == [.closeAll, .failing(failure)])
    }

    @Test func everythingIsListedNowAndThen() {
        var machine = watching("a")
        for _ in 1..<Machine.checksPerList {
            #expect(run(&machine, .timer) == [.ping])
            _ = run(&machine, .pinged)
        }
        #expect(run(&machine, .timer) == [.list])
        #expect(run(&machine, .listed([])) == [.commit(ids: []), .heard])
    }

    @Test func oneThatIsStoppedIsAboutToEnd() {
        var machine = watching("a", "b")
        #expect(
            run(&machine, signalled("a"), at: second)
                == [.stopping(id: "a", true), .stopTimer(nanoseconds: 13 * second)])
        // Its stop timeout is over, the engine kills it, and it is gone.
        #expect(run(&machine, signalled("a", 9), at: 11 * second) == [.stopTimer(nanoseconds: 13 * second)])
        #expect(run(&machine, gone("a"), at: 11 * second) == [.remove(id: "a")])
        #expect(run(&machine, .stopTimer, at: 24 * second) == [])
        // Signals that mean something else, and containers of others.
        #expect(run(&machine, signalled("b", 1)) == [])
        #expect(run(&machine, signalled("z")) == [])
    }

    @Test func oneThatGoesOnComesBack() {
        var machine = watching("a")
        _ = run(&machine, signalled("a"), at: 0)
        // Whatever else happens to it meanwhile.
        _ = run(&machine, changed("a"), at: second)
        #expect(run(&machine, .inspected(container("a")), at: 2 * second) == [.put(container("a"))])
        #expect(run(&machine, .stopTimer, at: 13 * second) == [.inspect(id: "a")])
        #expect(
            run(&machine, .inspected(container("a")), at: 13 * second)
                == [.put(container("a")), .stopping(id: "a", false)])
        // And may be stopped again.
        #expect(run(&machine, signalled("a"), at: 20 * second).first == .stopping(id: "a", true))
    }

    @Test func oneThatWasStartedAgainMeanwhileIsAnother() {
        var machine = watching("a")
        _ = run(&machine, signalled("a"), at: 0)
        let away = DockerFailure.unreachable("gone")
        _ = run(&machine, .streamEnded(away), at: second)
        _ = run(&machine, .timer, at: second)
        _ = run(&machine, .opened, at: second)
        _ = run(&machine, .listed([summary("a")]), at: second)
        var again = container("a")
        again.startedAt = "later"
        let actions = run(&machine, .inspected(again), at: second)
        #expect(actions == [.put(again), .stopping(id: "a", false), .commit(ids: ["a"]), .heard])
    }

    @Test func itsOwnSignalAndTimeCount() {
        var machine = watching("a", "b")
        var (quick, endless) = (container("a"), container("b"))
        (quick.stopSignal, quick.stopTimeoutSeconds) = (3, 1)
        endless.stopTimeoutSeconds = -1
        _ = run(&machine, changed("a"))
        _ = run(&machine, .inspected(quick))
        _ = run(&machine, changed("b"))
        _ = run(&machine, .inspected(endless))
        #expect(run(&machine, signalled("a", term)) == [])
        #expect(
            run(&machine, signalled("a", 3)) == [.stopping(id: "a", true), .stopTimer(nanoseconds: 4 * second)])
        #expect(run(&machine, signalled("b")) == [.stopping(id: "b", true)])
        #expect(run(&machine, .stopTimer, at: 4 * second) == [.inspect(id: "a")])
    }

    @Test func aSignalMayComeBeforeTheFirstLook() {
        var machine = Machine()
        _ = run(&machine, .start)
        _ = run(&machine, .opened)
        #expect(run(&machine, signalled("a")) == [])
        _ = run(&machine, .listed([summary("a"), summary("b")]))
        #expect(run(&machine, signalled("b", 1)) == [])
        let actions = run(&machine, .inspected(container("a")))
        #expect(actions.prefix(2) == [.put(container("a")), .stopping(id: "a", true)])
        #expect(run(&machine, .inspected(container("b"))).first == .put(container("b")))
    }

    @Test func pausesGrowUntilAReadingIsWhole() {
        var machine = Machine()
        _ = machine.handle(.start, nowNanoseconds: 0, random: 0)
        var pauses: [UInt64] = []
        for _ in 0..<8 {
            let ended = Machine.Event.streamEnded(.unreachable("x"))
            for action in machine.handle(ended, nowNanoseconds: 0, random: 0) {
                if case .timer(let pause) = action { pauses.append(pause) }
            }
            _ = machine.handle(.timer, nowNanoseconds: 0, random: 0)
        }
        #expect(pauses.prefix(3) == [50_000_000, 100_000_000, 200_000_000])
        #expect(pauses.last == 2_500_000_000)
    }
}

/// An engine whose answers and events are late, out of step and cut off: in the end all that runs is known, as it is.
@Suite struct DockerWatchSimulation {
    private struct Engine {
        var random: SeededRandom
        var machine = Machine()
        /// What runs, by ID, with a number for how it is.
        var truth: [String: Int] = [:]
        var known: [String: Int] = [:]
        /// Known to be about to end.
        var stopping: Set<String> = []
        var now: UInt64 = 0
        var isStreaming = false
        var isOpening = false
        var isWaiting = false
        var events: [DockerEvent] = []
        var list: [String]?
        var answers: [(id: String, version: Int?)] = []
        var commits = 0

        mutating func perform(_ actions: [Machine.Action]) {
            for action in actions {
                switch action {
                case .openEvents: (isOpening, isWaiting) = (true, false)
                case .closeAll:
                    (isStreaming, isOpening, isWaiting) = (false, false, true)
                    (events, list, answers) = ([], nil, [])
                case .list: list = Array(truth.keys)
                case .inspect(let id): answers.append((id, truth[id]))
                case .put(let container): known[container.id] = Int(container.created)
                case .remove(let id):
                    known[id] = nil
                    stopping.remove(id)
                case .commit(let ids):
                    known = known.filter { ids.contains($0.key) }
                    stopping.formIntersection(ids)
                    commits += 1
                case .stopping(let id, let isStopping):
                    if isStopping { stopping.insert(id) } else { stopping.remove(id) }
                case .ping, .unreadable, .timer, .stopTimer, .heard, .failing: break
                }
            }
        }

        mutating func tell(_ event: Machine.Event) {
            now += second / 10
            perform(machine.handle(event, nowNanoseconds: now, random: random.next()))
        }

        mutating func change() {
            let id = "c\(random.below(6))"
            let isThere = truth[id] != nil
            let ends = isThere && random.once(in: 2)
            if isStreaming, isThere, random.once(in: 3) {
                events.append(DockerEvent(kind: .signalled(term), id: id, concernsMesh: true))
                if random.once(in: 2) { return }
            }
            truth[id] = ends ? nil : (truth[id] ?? 0) + 1 + random.below(3)
            if isStreaming { events.append(DockerEvent(kind: ends ? .gone : .changed, id: id, concernsMesh: true)) }
        }

        mutating func step() {
            switch random.below(5) {
            case 0 where isOpening:
                (isOpening, isStreaming) = (false, true)
                tell(.opened)
            case 1 where !events.isEmpty: tell(.event(events.removeFirst()))
            case 2:
                guard let ids = list else { return }
                list = nil
                tell(.listed(ids.map(summary)))
            case 3 where !answers.isEmpty:
                let answer = answers.remove(at: random.below(answers.count))
                if let version = answer.version {
                    tell(.inspected(container(answer.id, version: version)))
                } else {
                    tell(.inspectFailed(id: answer.id, .refused(status: 404, message: "")))
                }
            case 4 where isWaiting: tell(.timer)
            default: break
            }
        }

        var isQuiet: Bool { isStreaming && events.isEmpty && list == nil && answers.isEmpty }
    }

    @Test(arguments: 0..<200)
    func allThatRunsIsKnownInTheEnd(seed: Int) {
        var engine = Engine(random: SeededRandom(seed: UInt64(seed)))
        engine.tell(.start)
        for _ in 0..<600 {
            if engine.random.once(in: 3) { engine.change() }
            if engine.random.once(in: 80), engine.isStreaming { engine.tell(.streamEnded(nil)) }
            if engine.random.once(in: 60), engine.isQuiet { engine.tell(.timer) }
            engine.step()
        }
        for _ in 0..<20_000 where !engine.isQuiet || engine.commits == 0 { engine.step() }
        #expect(engine.isQuiet, "seed \(seed)")
        #expect(engine.known == engine.truth, "seed \(seed)")
        #expect(engine.stopping.isSubset(of: engine.known.keys), "seed \(seed)")
        // What goes on long after its stop timeout was not stopped.
        engine.now += 60 * second
        engine.tell(.stopTimer)
        for _ in 0..<1_000 where !engine.isQuiet { engine.step() }
        #expect(engine.stopping.isEmpty && engine.known == engine.truth, "seed \(seed)")
    }
}
