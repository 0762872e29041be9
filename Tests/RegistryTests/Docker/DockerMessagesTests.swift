import JSONCodec
import NetAddress
import TestSupport
import Testing

@testable import Registry

private func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

@Suite struct DockerMessagesTests {
    @Test func aListNamesTheContainersOfTheMesh() throws {
        let list = try DockerAnswer.list(bytes(DockerRecordings.list))
        #expect(list.containers.map(\.id) == [DockerRecordings.id, "77", "78"])
        #expect(list.containers.map(\.concernsMesh) == [true, false, false])
        // A name that would lead elsewhere in a path is none.
        #expect(list.unreadable == 1)
    }

    @Test func aContainerHasItsFacts() throws {
        let container = try DockerAnswer.container(bytes(DockerRecordings.inspect))
        #expect(container.name == "shop")
        #expect(container.created == "2026-11-21T09:31:37.808492217")
        #expect(container.isRunning && !container.isPaused)
        #expect(container.health == .healthy)
        #expect(container.networkMode == "default")
        #expect(container.networks.map(\.name) == ["bridge", "other"])
        #expect(container.networks[0].addresses.map(\.description) == ["172.18.1.2", "fd00::2"])
        #expect(container.tcpPorts == [8080] && container.udpPorts == [53])
        #expect(container.bindings.map(\.hostPort) == [18080])
        #expect(container.startedAt == "2026-11-21T09:31:38.197126401Z")
        #expect(container.stopSignal == 15 && container.stopTimeoutSeconds == 10)
    }

    @Test(arguments: [
        (#""StopSignal":"SIGQUIT","StopTimeout":1"#, 3, 1), (#""StopSignal":"9","StopTimeout":-5"#, 9, -1),
        (#""StopSignal":"rtmin+3","StopTimeout":null"#, 37, 10), (#""StopSignal":"SIGWHAT""#, 15, 10),
        (#""StopSignal":"65","StopTimeout":99999999"#, 15, 86_400), (#""StopSignal":"RTMAX-30""#, 34, 10),
        (#""StopSignal":"RTMAX-31""#, 15, 10), (#""StopSignal":"TERM+1""#, 15, 10),
        (#""StopSignal":"RTMIN+99999999999999999999""#, 15, 10), (#""StopSignal":"0""#, 15, 10),
    ])
    func howAContainerIsStopped(config: String, signal: Int, seconds: Int) throws {
        let text = "{\"Id\":\"a\",\"Name\":\"/x\",\"State\":{\"Running\":true},\"Config\":{\(config)}}"
        let container = try DockerAnswer.container(bytes(text))
        #expect(container.stopSignal == signal && container.stopTimeoutSeconds == seconds)
    }

    @Test(arguments: [("15", 15 as Int?), ("SIGTERM", 15), ("kill", 9), ("x", nil), ("", nil)])
    func aSignalIsToldOf(text: String, signal: Int?) throws {
        let event = try DockerAnswer.event(bytes(DockerRecordings.kill(text)))
        let kind = signal.map { DockerEvent.Kind.signalled($0) } ?? .other
        #expect(event == DockerEvent(kind: kind, id: DockerRecordings.id, concernsMesh: true))
    }

    @Test func timesAreSecondsSince1970() {
        #expect(DockerAnswer.seconds("1970-01-01T00:00:00Z") == 0)
        #expect(DockerAnswer.seconds("2026-11-21T09:31:38.197126401Z") == 1_795_253_498)
        #expect(DockerAnswer.seconds("2024-02-29T23:59:59Z") == 1_709_251_199)
        for text in ["", "0001-01-01T00:00:00Z", "2026-13-01T00:00:00Z", "2026-11-21T09:31:38", "x026-11-21T09:31:38Z"]
        {
            #expect(DockerAnswer.seconds(text) == nil)
        }
    }

    @Test(arguments: [
        ("start", DockerEvent.Kind.changed), ("die", .gone), ("stop", .gone), ("destroy", .gone), ("pause", .changed),
        ("unpause", .changed), ("rename", .changed), ("health_status: unhealthy", .changed), ("exec_create: x", .other),
        ("kill", .other),
    ])
    func eventsOfContainers(action: String, kind: DockerEvent.Kind) throws {
        let event = try DockerAnswer.event(bytes(DockerRecordings.event(action)))
        #expect(event == DockerEvent(kind: kind, id: DockerRecordings.id, concernsMesh: true))
    }

    @Test func eventsOfOthers() throws {
        let plain = try DockerAnswer.event(bytes(DockerRecordings.event("start", labels: "")))
        #expect(plain?.concernsMesh == false)
        let network = try DockerAnswer.event(bytes(DockerRecordings.connect))
        #expect(network == DockerEvent(kind: .changed, id: DockerRecordings.id, concernsMesh: false))
        #expect(try DockerAnswer.event(bytes("{\"Type\":\"image\",\"Action\":\"pull\",\"Actor\":{}}")) == nil)
    }

    @Test(arguments: [
        "", "{", "[]", "{}", "{\"Id\":1}", "{\"Id\":\"a b\",\"Name\":\"x\"}", "{\"Id\":\"a\"}",
        "{\"Id\":\"a\",\"Name\":\"/x\"}", "{\"Id\":\"a\",\"Name\":\"/x\",\"State\":{\"Running\":1}}",
        "{\"Id\":\"a\",\"Name\":\"/x\",\"State\":{\"Running\":true},\"Config\":{\"Labels\":[]}}",
        "{\"Id\":\"a\",\"Name\":\"/x\",\"State\":{\"Running\":true},\"Config\":{\"Labels\":{\"a\":1}}}",
        "{\"Id\":\"a\",\"Name\":\"/x\",\"State\":{\"Running\":true},\"NetworkSettings\":{\"Networks\":3}}",
    ])
    func whatIsNoContainerIsRefused(text: String) {
        #expect(throws: DockerFailure.self) { try DockerAnswer.container(bytes(text)) }
    }

    @Test func refusalsAreTold() {
        let body = bytes("{\"message\":\"No such container: x\"}")
        #expect(throws: DockerFailure.refused(status: 404, message: "No such container: x")) {
            try DockerAnswer.check(status: 404, body)
        }
        #expect(throws: Never.self) { try DockerAnswer.check(status: 201, body) }
    }

    @Test func whatACommandSaidIsShownInOneLine() {
        var output = DockerOutput()
        output.add([1, 0, 0, 0, 0, 0, 0, 3] + bytes("\n a") + [2, 0, 0, 0, 0, 0, 0, 5] + bytes("b\u{1b}\nc"))
        #expect(output.line == " ab?")
        var cut = DockerOutput()
        cut.add([1, 0, 0, 0, 255, 255, 255, 255] + bytes(String(repeating: "x", count: 9_000)))
        cut.add(bytes("more"))
        #expect(cut.line.count == 200)
        var raw = DockerOutput()
        raw.add(bytes("as it is"))
        #expect(raw.line == "as it is")
        #expect(DockerOutput().line == "")
    }

    /// Damaged answers are taken or refused, never trap.
    @Test func damagedAnswersNeverTrap() {
        let corpus = [
            bytes(DockerRecordings.list), bytes(DockerRecordings.inspect), bytes(DockerRecordings.event("die")),
            bytes(DockerRecordings.connect), bytes(DockerRecordings.kill("15")),
        ]
        var random = SeededRandom(seed: 11)
        var taken = 0
        for _ in 0..<5_000 {
            let input = random.mutate(
                random.element(of: corpus), crossedWith: random.element(of: corpus),
                interesting: bytes("{}[],:\"\\0null"))
            if let list = try? DockerAnswer.list(input) {
                taken += 1
                #expect(list.containers.allSatisfy { DockerRequest.isID($0.id) })
            }
            if let container = try? DockerAnswer.container(input) {
                taken += 1
                var catalogue = DockerCatalogue(place: .local, routingDomain: nil)
                catalogue.put(container)
                #expect(catalogue.instances.count + catalogue.problemCount <= 1)
                for announcement in catalogue.announcements.values {
                    #expect(throws: Never.self) { try JSONValue.parse(announcement.json) }
                }
            }
            if let event = try? DockerAnswer.event(input) {
                taken += 1
                #expect(DockerRequest.isID(event.id))
            }
            var output = DockerOutput()
            output.add(input)
            #expect(output.line.utf8.count <= 600)
        }
        #expect(taken > 250)
    }
}

extension DockerPlace {
    static let local = DockerPlace(url: url("docker:///run/docker.sock"), node: "n1", zone: "a")

    static func url(_ text: String) -> DockerURL {
        guard case .docker(let url)? = try? RegistryURL(text) else { preconditionFailure(text) }
        return url
    }
}
