import MeshCore
import NetAddress
import Registry
import Testing

@Suite struct ServiceTests {
    // MARK: - ports

    @Test(arguments: [
        ("8080:80", [PublishedPort(port: 8080, containerPort: 80)], [UInt16(80)]),
        ("8080:80/tcp", [PublishedPort(port: 8080, containerPort: 80)], [80]),
        ("53:5353/udp", [PublishedPort(port: 53, containerPort: 5353, transport: .udp)], []),
        ("127.0.0.1:8080:80", [PublishedPort(address: .loopbackV4, port: 8080, containerPort: 80)], [80]),
        ("[::1]:8080:80", [PublishedPort(address: IPAddress("::1"), port: 8080, containerPort: 80)], [80]),
        (
            "9090-9091:8080-8081",
            [PublishedPort(port: 9090, containerPort: 8080), PublishedPort(port: 9091, containerPort: 8081)],
            [8080, 8081]
        ),
        ("65535:65535", [PublishedPort(port: 65535, containerPort: 65535)], [65535]),
        ("22:22", [PublishedPort(port: 22, containerPort: 22)], [22]),
    ])
    func shortPorts(_ text: String, _ published: [PublishedPort], _ container: [UInt16]) throws {
        // Quoted and plain are the same.
        let web = try service("ports:\n- \"\(text)\"")
        #expect(web.publishedPorts == published)
        #expect(web.containerPorts == container)
        if !text.hasPrefix("[") { #expect(try service("ports:\n- \(text)") == web) }
    }

    @Test(arguments: [
        ("80", [UInt16(80)]), ("'80'", [80]), ("0:80", [80]), ("'3000-3001'", [3000, 3001]), ("{target: 80}", [80]),
        ("{target: 80, published: 0}", [80]),
    ])
    func portsWithoutANumberAreChosenByTheMesh(_ text: String, _ targets: [UInt16]) throws {
        let found = try catalogue("ports: [\(text)]")
        #expect(found.services[0].publishedPorts == targets.map { PublishedPort(port: 0, containerPort: $0) })
        #expect(found.services[0].containerPorts == targets)
        #expect(found.warnings.isEmpty)
    }

    @Test func aChosenPortMayNameItsAddress() throws {
        let found = try service("ports: ['127.0.0.1::80', '80', '81']").publishedPorts
        #expect(
            found == [
                PublishedPort(address: .loopbackV4, port: 0, containerPort: 80),
                PublishedPort(port: 0, containerPort: 80),
                PublishedPort(port: 0, containerPort: 81),
            ])
        #expect(problem("ports: ['80', '80']")?.message.contains("twice") == true)
    }

    @Test func aRangeOntoOnePortIsNotPublished() throws {
        let found = try catalogue("ports: ['8000-9000:80']")
        #expect(found.services[0].publishedPorts.isEmpty)
        #expect(
            found.warnings.map(\.message) == [
                "a range onto one container port is not published; name one port, or none"
            ])
    }

    @Test(arguments: [
        "''", "x", "'0'", "65536", "80:x", "8080:0", "1:2:3:4", "a:80:80", "127.0.0.1:x:80", "'[::1]80:80'", "'[::1]:'",
        "'::1:80:80'", "80/xyz", "90-80:90-80", "1-3:1-2", "1-2:1-3", "'${PORT}:80'", "[80]", "~", "{published: 80}",
        "{target: x}", "{target: 80, published: x}", "{target: 80, mode: all}", "{target: 80, host_ip: h}",
        "{target: 80, protocol: x}", "{target: [80]}",
    ])
    func portFaults(_ text: String) throws {
        let found = try #require(problem("ports:\n- \(text)"), "\(text)")
        #expect(found.key.hasPrefix("services.web.ports.0"), "\(found)")
    }

    @Test func longPorts() throws {
        let web = try service(
            """
            ports:
            - {target: 80, published: 8080, protocol: tcp, mode: ingress}
            - {target: 53, published: "5353", protocol: udp, host_ip: 127.0.0.1, name: dns}
            """)
        #expect(
            web.publishedPorts == [
                PublishedPort(port: 8080, containerPort: 80),
                PublishedPort(address: .loopbackV4, port: 5353, containerPort: 53, transport: .udp),
            ])
        let host = try catalogue("ports: [{target: 80, published: 80, mode: host}]")
        #expect(host.services[0].publishedPorts == [PublishedPort(port: 80, containerPort: 80, mode: .host)])
        #expect(host.warnings.isEmpty)
    }

    @Test func aPortIsPublishedOnce() throws {
        #expect(problem("ports: ['80:80', '80:81']")?.message.contains("twice") == true)
        #expect(problem("ports: ['80:80', '80:80/udp', '127.0.0.1:80:80']") == nil)
        let both = try parse("services:\n  a: {ports: ['80:80']}\n  b: {ports: ['80:81']}\n")
        #expect(both.services.count == 2, "what one service gets wrong is no fault of the others")
        #expect(both.warnings.map(\.message) == ["80/tcp is already published by service 'a'"])
        #expect(both.warnings.map(\.key) == ["services.b.ports"])
    }

    @Test func containerPortsAreTheUnionSorted() throws {
        let web = try service(
            """
            ports: ['9000:90']
            expose: ['70', 60, '50-51', '53/udp']
            labels: {aliyun.routing.port_85: a.com, aliyun.probe.url: http://container}
            external: {host: 10.0.0.1, ports: [40]}
            x-mesh-instances: [{address: 10.0.0.2, ports: {30: 3000}}]
            """)
        #expect(web.containerPorts == [30, 40, 50, 51, 60, 70, 80, 85, 90])
    }

    // MARK: - external

    @Test func externalHostsAreInstances() throws {
        let found = try catalogue("external: {host: [10.0.0.1, '::1'], ports: ['3306', 3307]}")
        #expect(found.services[0].containerPorts == [3306, 3307])
        #expect(found.instances.map(\.id) == ["10.0.0.1", "::1"])
        #expect(found.instances[0].socketAddress(containerPort: 3306) == SocketAddress("10.0.0.1:3306"))
    }

    @Test(arguments: [
        ("external: {host: db.company.com, ports: [1]}", "external.host"),
        ("external: {host: [10.0.0.1, db], ports: [1]}", "external.host.1"),
        ("external: {host: [], ports: [1]}", "external.host"),
        ("external: {ports: [1]}", "external"),
        ("external: {host: 10.0.0.1}", "external"),
        ("external: {host: 10.0.0.1, ports: []}", "external.ports"),
        ("external: {host: 10.0.0.1, ports: ['3306:13306']}", "external.ports.0"),
        ("external: {host: 10.0.0.1, port: [1], ports: [1]}", "external.port"),
        ("external: true", "external"),
        ("external: {host: 0.0.0.0, ports: [1]}", "external.host"),
    ])
    func externalFaults(_ body: String, _ key: String) throws {
        #expect(try #require(problem(body)).key == "services.web.\(key)")
    }

    // MARK: - x-mesh-instances

    @Test func everyFormOfInstance() throws {
        let found = try catalogue(
            """
            expose: [80]
            x-mesh-instances:
            - 10.0.0.1
            - 10.0.0.2:9001
            - "[::1]:9002"
            - "::2"
            - {address: 10.0.0.3, ports: {80: 9003}, node: n1, zone: z, weight: 5, version: v2}
            - {address: 10.0.0.3:9004, id: four}
            """)
        #expect(
            found.instances.map(\.id) == ["10.0.0.1", "10.0.0.2:9001", "[::1]:9002", "::2", "10.0.0.3:9003", "four"])
        #expect(
            found.instances.map { $0.socketAddress(containerPort: 80).description } == [
                "10.0.0.1:80", "10.0.0.2:9001", "[::1]:9002", "[::2]:80", "10.0.0.3:9003", "10.0.0.3:9004",
            ])
        let full = InstanceSpec(
            id: "10.0.0.3:9003", service: "web", address: IPAddress("10.0.0.3") ?? .anyV4, portMap: [80: 9003],
            node: "n1", zone: "z", weight: 5, version: "v2")
        #expect(found.instances[4] == full)
    }

    @Test(arguments: [
        ("x-mesh-instances: ['10.0.0.1:9001']", "has 0"),
        ("expose: [80, 81]\nx-mesh-instances: ['10.0.0.1:9001']", "has 2"),
        ("expose: [80]\nx-mesh-instances: ['10.0.0.1:9001', {address: 10.0.0.1, ports: {81: 1}}]", "has 2"),
        ("expose: [80, '80/udp']\nx-mesh-instances: ['10.0.0.1:0']", "ADDRESS or ADDRESS:PORT"),
        ("x-mesh-instances: [web]", "IP address"),
        ("x-mesh-instances: [0.0.0.0]", "no address of an instance"),
        ("x-mesh-instances: 10.0.0.1", "list"),
        ("x-mesh-instances: [10.0.0.1, 10.0.0.1]", "twice"),
        ("x-mesh-instances: [{ports: {80: 1}}]", "'address' is missing"),
        ("x-mesh-instances: [{address: 10.0.0.1, prots: {80: 1}}]", "unknown key"),
        ("x-mesh-instances: [{address: 10.0.0.1, ports: {x: 1}}]", "container port"),
        ("x-mesh-instances: [{address: 10.0.0.1, ports: {80: 0}}]", "not a port"),
        ("x-mesh-instances: [{address: 10.0.0.1, ports: [80]}]", "mapping"),
        ("x-mesh-instances: [{address: 10.0.0.1, weight: 1001}]", "0 to 1000"),
        ("x-mesh-instances: [{address: 10.0.0.1, id: 'a b'}]", "visible ASCII"),
        ("x-mesh-instances: [{address: 10.0.0.1, zone: ~}]", "no value"),
    ])
    func instanceFaults(_ body: String, _ message: String) throws {
        let found = try #require(problem(body))
        #expect(found.message.contains(message), "\(found)")
        #expect(found.key.hasPrefix("services.web.x-mesh-instances"))
    }

    @Test func aUDPServiceHasOnePortToo() throws {
        let found = try catalogue("ports: ['53:5353/udp']\nx-mesh-instances: ['10.0.0.1:9001']")
        #expect(found.instances[0].solePort == 9001)
        #expect(found.warnings.isEmpty)
        #expect(found.services.first?.udpPorts == [5353] && found.services.first?.containerPorts == [])
    }
}
