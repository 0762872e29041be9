import MeshCore
import NetAddress
import Testing

@testable import Registry

private func container(
    _ id: String, _ name: String = "web-1", labels: [String: String] = ["mesh.enable": "true"], created: String = "1"
) -> DockerContainer {
    var container = DockerContainer(id: id, name: name, created: created, labels: labels)
    container.networks = [
        .init(name: "bridge", addresses: [IPAddress("172.18.1.2")!]),
        .init(name: "front", addresses: [IPAddress("172.19.0.2")!, IPAddress("fd00::2")!]),
        .init(name: "ingress", addresses: [IPAddress("10.0.0.9")!]),
    ]
    return container
}

private func read(
    _ container: DockerContainer, _ url: String = "docker:///d.sock"
) throws(TextFault) -> DockerInstance? {
    try DockerInstance.read(container, DockerPlace(url: DockerPlace.url(url), node: "n1", zone: nil))
}

@Suite struct DockerInstanceTests {
    @Test func theServiceIsNamedByTheMostSpecificLabel() throws {
        var one = container("a", "plain")
        #expect(try read(one)?.spec.service == "plain")
        one.labels["com.docker.compose.service"] = "composed"
        #expect(try read(one)?.spec.service == "composed")
        one.labels["com.docker.swarm.service.name"] = "stack_web"
        #expect(try read(one)?.spec.service == "stack_web")
        one.labels["mesh.service"] = "shop"
        #expect(try read(one)?.spec.service == "shop")
        one.labels["mesh.service"] = "no name"
        #expect(throws: TextFault.self) { try read(one) }
    }

    @Test func onlyContainersWithLabelsOfTheMeshCount() throws {
        #expect(try read(container("a", labels: ["maintainer": "x", "aliyun.log_store_a": "x"])) == nil)
        for name in ["aliyun.routing.port_80", "aliyun.probe.url", "aliyun.proxy.VIRTUAL_HOST", "mesh.aliases"] {
            #expect(try read(container("a", labels: [name: "x"])) != nil, "\(name)")
        }
        #expect(try read(container("a", labels: ["mesh.enable": "false", "mesh.aliases": "x"])) == nil)
        #expect(throws: TextFault.self) { try read(container("a", labels: ["mesh.enable": "yes"])) }
        var stopped = container("a")
        stopped.isRunning = false
        #expect(try read(stopped) == nil)
    }

    @Test func theAddressIsOfTheNamedNetworkOrTheOneItWasStartedOn() throws {
        var one = container("a")
        #expect(try read(one)?.spec.address.description == "172.18.1.2")
        one.networkMode = "front"
        #expect(try read(one)?.spec.address.description == "172.19.0.2")
        one.networkMode = "gone"
        #expect(try read(one)?.spec.address.description == "172.18.1.2")
        #expect(try read(one, "docker:///d.sock?network=front")?.spec.address.description == "172.19.0.2")
        one.labels["mesh.network"] = "front"
        #expect(try read(one)?.spec.address.description == "172.19.0.2")
        one.labels["mesh.network"] = "back"
        #expect(throws: TextFault.self) { try read(one) }
        one.labels["mesh.network"] = nil
        one.networks = [.init(name: "ingress", addresses: [IPAddress("10.0.0.9")!])]
        #expect(throws: TextFault.self) { try read(one) }
    }

    @Test func onTheMachinesNetworkTheMachinesAddressCounts() throws {
        var one = container("a")
        one.networkMode = "host"
        one.networks = [.init(name: "host", addresses: [])]
        #expect(try read(one)?.spec.address == .loopbackV4)
        #expect(try read(one, "docker:///d.sock?address=192.0.2.1")?.spec.address.description == "192.0.2.1")
    }

    @Test func publishedPortsLeadThereWhereAskedFor() throws {
        var one = container("a", labels: ["mesh.reach": "host"])
        #expect(throws: TextFault.self) { try read(one) }
        one.bindings = [
            .init(containerPort: 80, isUDP: false, hostAddress: IPAddress("198.51.100.1"), hostPort: 1),
            .init(containerPort: 80, isUDP: false, hostAddress: nil, hostPort: 8080),
            .init(containerPort: 81, isUDP: false, hostAddress: IPAddress("192.0.2.1"), hostPort: 8081),
        ]
        let spec = try #require(try read(one, "docker:///d.sock?address=192.0.2.1")).spec
        #expect(spec.portMap == [80: 8080, 81: 8081])
        #expect(spec.socketAddress(containerPort: 80).description == "192.0.2.1:8080")
        one.labels = ["mesh.enable": "true"]
        #expect(try read(one, "docker:///d.sock?reach=host")?.spec.portMap == [80: 8080])
        one.labels["mesh.reach"] = "near"
        #expect(throws: TextFault.self) { try read(one) }
    }

    @Test func healthAndPauseAreVerdicts() throws {
        var one = container("a")
        #expect(try read(one)?.spec.verdict == nil)
        one.health = .starting
        #expect(try read(one)?.spec.verdict == .starting)
        one.health = .unhealthy
        #expect(try read(one)?.spec.verdict == .unhealthy(cause: "the container's health check fails"))
        // Whether the service is well is for its own probe to say.
        one.health = .healthy
        #expect(try read(one)?.spec.verdict == nil)
        one.isPaused = true
        #expect(try read(one)?.spec.verdict == .unhealthy(cause: "paused"))
    }

    @Test func labelsOfTheInstance() throws {
        let labels = ["mesh.instance.weight": "3", "mesh.instance.version": "v2"]
        let spec = try #require(try read(container("a", labels: labels))).spec
        #expect(spec.weight == 3 && spec.version == "v2" && spec.node == "n1")
        #expect(throws: TextFault.self) { try read(container("a", labels: ["mesh.instance.weight": "1001"])) }
        #expect(throws: TextFault.self) { try read(container("a", labels: ["mesh.instance.version": "a b"])) }
    }
}

@Suite struct DockerCatalogueTests {
    private func catalogue() -> DockerCatalogue { DockerCatalogue(place: .local, routingDomain: nil) }

    @Test func labelsDescribeTheService() throws {
        var catalogue = catalogue()
        var one = container(
            DockerRecordings.id, labels: ["aliyun.routing.port_80": "shop.example", "mesh.service": "shop"])
        one.tcpPorts = [80, 8080]
        one.udpPorts = [53]
        catalogue.put(one)
        let spec = try #require(catalogue.services.first)
        #expect(spec.name == "shop" && spec.containerPorts == [80, 8080] && spec.udpPorts == [53])
        #expect(spec.routes.map(\.host.description) == ["shop.example"])
        #expect(catalogue.instances.map(\.id) == ["5ca2061a929f"])
        #expect(catalogue.containerID(InstanceKey(service: "shop", id: "5ca2061a929f")) == DockerRecordings.id)
        #expect(catalogue.takeNews() == [])
    }

    @Test func theContainerThatWasCreatedLastHasTheWord() {
        var catalogue = catalogue()
        for (id, weight) in [("b", "20"), ("a", "30")] {
            let labels = [
                "mesh.service": "shop", "aliyun.routing.weight": weight, "aliyun.routing.port_80": "x.example",
            ]
            catalogue.put(container(id, labels: labels, created: weight))
        }
        #expect(catalogue.services.map(\.weight) == [30])
        catalogue.remove("a")
        #expect(catalogue.services.map(\.weight) == [20])
        catalogue.remove("b")
        #expect(catalogue.services.isEmpty && catalogue.instances.isEmpty)
    }

    @Test func malformedContainersAreNamedAndLeaveTheRestAlone() {
        var catalogue = catalogue()
        catalogue.put(container("a"))
        catalogue.put(container("b", "broken", labels: ["aliyun.routing.port_x": "y"]))
        #expect(catalogue.instances.map(\.id) == ["a"])
        #expect(catalogue.problems(limit: 9).first?.hasPrefix("container broken (b): labels.aliyun.") == true)
        #expect(catalogue.takeNews().count == 1)
        catalogue.put(container("b", "broken", labels: ["aliyun.routing.port_x": "y"]))
        #expect(catalogue.takeNews().isEmpty)
        // What cannot be read leaves what was known.
        catalogue.unreadable("a", .malformed("x"))
        #expect(catalogue.instances.count == 1 && catalogue.problemCount == 2)
        catalogue.put(container("a"))
        catalogue.retain(["a"])
        #expect(catalogue.problemCount == 0)
    }

    @Test func twoProjectsWithOneNameAreToldApart() {
        var catalogue = catalogue()
        for project in ["p", "q"] {
            let labels = [
                "com.docker.compose.service": "web", "com.docker.compose.project": project, "mesh.aliases": "w",
            ]
            catalogue.put(container(project, labels: labels))
        }
        #expect(catalogue.takeNews().map(\.message).filter { $0.contains("'p' and 'q'") }.count == 1)
    }

    @Test func moreThanTheLimitIsMalformed() {
        var catalogue = catalogue()
        for number in 0...DockerCatalogue.maximumContainers { catalogue.put(container("c\(number)", "c\(number)")) }
        #expect(catalogue.instances.count == DockerCatalogue.maximumContainers)
        #expect(catalogue.problemCount == 1)
    }

    @Test func oneThatIsAboutToEndDrains() throws {
        var catalogue = catalogue()
        catalogue.put(container("a"))
        catalogue.setStopping("a", true)
        // Also when something else about it changes.
        catalogue.put(container("a"))
        #expect(catalogue.instances.map(\.isDraining) == [true])
        let announcement = try #require(catalogue.announcements.values.first)
        #expect(announcement.isDraining)
        let pair = EtcdKeyValue(key: "", value: Array(announcement.json.utf8), createRevision: 1, modRevision: 1)
        #expect(try EtcdInstance.parse(pair, announcement.key).spec.isDraining)
        catalogue.setStopping("a", false)
        #expect(catalogue.instances.map(\.isDraining) == [false])
        // What ended is forgotten: one that is started again does not drain.
        catalogue.setStopping("a", true)
        catalogue.remove("a")
        catalogue.put(container("a"))
        #expect(catalogue.instances.map(\.isDraining) == [false])
        catalogue.setStopping("a", true)
        catalogue.retain([])
        catalogue.put(container("a"))
        #expect(catalogue.instances.map(\.isDraining) == [false])
    }

    @Test func aDiffTellsNoMoreThanWhatIsDifferent() {
        let web = ServiceSpec(name: "web")
        let one = InstanceSpec(id: "1", service: "web", address: .loopbackV4)
        var two = one
        two.id = "2"
        var force = DockerForce()
        #expect(force.take(([web], [one])) == [.upsertService(web), .upsertInstance(one)])
        #expect(force.take(([web], [one])) == [])
        #expect(force.take(([web], [two])) == [.upsertInstance(two), .removeInstance(one.key)])
        #expect(force.take(([], [])) == [.removeInstance(two.key), .removeService(name: "web")])
    }

    @Test func announcementsSayWhatLabelsSay() throws {
        var catalogue = catalogue()
        var one = container("a", labels: ["mesh.service": "shop", "mesh.aliases": "s.local", "x": "y"])
        one.udpPorts = [53]
        catalogue.put(one)
        let announcement = try #require(catalogue.announcements.values.first)
        #expect(
            announcement.json == """
                {"address":"172.18.1.2","node":"n1","zone":"a","service":{"labels":{"mesh.aliases":"s.local"},\
                "expose":["53/udp"]}}
                """)
        #expect(try announcement.check() == [])
    }
}
