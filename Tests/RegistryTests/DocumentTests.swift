import MeshCore
import NetAddress
import Registry
import Testing

@Suite struct DocumentTests {
    @Test func theRestExample() throws {
        let bytes = try fileBytes("examples/rest/services.yaml")
        let found = try ComposeCatalogue.parse(bytes, file: "f", routingDomain: nil)
        let server = ServiceSpec(
            name: "restserver", aliases: ["restserver.local"],
            routes: [RouteSpec(host: .exact("restserver.local"), containerPort: 80)], containerPorts: [80],
            probe: ProbeSpec(kind: .http(containerPort: 80, path: "/"), initialDelaySeconds: 2, timeoutSeconds: 2),
            scale: 2)
        #expect(found.services == [server, ServiceSpec(name: "restclient")])
        #expect(found.instances.map(\.key.description) == ["restserver/127.0.0.1:9001", "restserver/127.0.0.1:9002"])
        #expect(found.instances.map { $0.socketAddress(containerPort: 80).port } == [9001, 9002])
        #expect(found.warnings.isEmpty)
    }

    @Test func theShopExample() throws {
        let bytes = try fileBytes("examples/shop/services.yaml")
        let found = try ComposeCatalogue.parse(bytes, file: "f", routingDomain: "company.com")
        #expect(found.services.map(\.name) == ["shopping", "payment", "frontdoor", "wordpress", "mysql"])
        #expect(
            found.services.map { $0.routes.map(\.host) } == [
                [.exact("shopping.company.com")], [.exact("payment.company.com")], [.wildcard("company.com")],
                [.exact("wordpress.company.com")], [],
            ])
        let http = ProbeSpec(kind: .http(containerPort: 80, path: "/"))
        #expect(found.services.map(\.probe) == [http, ProbeSpec(kind: .tcp(containerPort: 80)), nil, http, nil])
        #expect(found.services.map(\.containerPorts) == [[80], [80], [80], [80], [3306]])
        #expect(found.services.map(\.scale) == [nil, nil, nil, 3, nil])
        let published = PublishedPort(address: .loopbackV4, port: 9080, containerPort: 80)
        #expect(found.services[0].publishedPorts == [published])
        #expect(
            found.instances.map { $0.socketAddress(containerPort: $0.service == "mysql" ? 3306 : 80).description } == [
                "127.0.0.1:9011", "127.0.0.1:9012", "127.0.0.1:9021", "127.0.0.1:9041", "127.0.0.1:9031",
                "127.0.0.1:9032", "127.0.0.1:9033", "127.0.0.1:3306",
            ])
        #expect(found.warnings.isEmpty)
        let bare = try ComposeCatalogue.parse(bytes, file: "f", routingDomain: nil)
        #expect(bare.services[3].routes.map(\.host) == [.exact("wordpress")])
    }

    @Test(arguments: [
        ("", "f.yaml:1:1: services: the key is missing"),
        ("web:\n  image: x\n", "f.yaml:1:1: services: the key is missing"),
        ("services:\n", "f.yaml:1:10: services: must be a mapping"),
        ("services: [a]\n", "f.yaml:1:11: services: must be a mapping"),
        ("- a\n", "f.yaml:1:1: a Compose file is a mapping"),
        ("services:\n  a b: {}\n", "f.yaml:2:3: services.a b: a service name"),
        ("services:\n  web: x\n", "f.yaml:2:8: services.web: must be a mapping"),
        ("services:\n  web: {}\n  web: {}\n", "f.yaml:3:3: services.web: this key is already there"),
        ("services:\n  web:\n    ports: [80\n", "f.yaml:4:1: services.web.ports"),
        (
            "services:\n  web:\n    labels:\n      - x=1\n      - aliyun.routing.port_80=a.com:1\n",
            "f.yaml:5:9: services.web.labels.aliyun.routing.port_80: 'a.com:1': a route's host has no port"
        ),
    ])
    func problemsAreOneLineWithTheirPlace(_ text: String, _ expected: String) throws {
        let error = #expect(throws: CatalogueProblem.self) { try parse(text) }
        let line = try #require(error).description
        #expect(line.hasPrefix(expected), "\(line)")
        #expect(!line.contains("\n"))
    }

    @Test func controlCharactersDoNotReachTheMessage() throws {
        let error = #expect(throws: CatalogueProblem.self) { try parse("services:\n  \"a\\n\\e[31m\": {}\n") }
        let line = try #require(error).description
        #expect(line.unicodeScalars.allSatisfy { $0.value >= 0x20 })
    }

    @Test func composeKeysThatDoNotConcernTheMeshAreIgnored() throws {
        let found = try parse(
            """
            version: "3.9"
            x-common: &common
              image: x
              labels: {aliyun.scale: "2"}
            networks: {front: {driver: overlay}}
            services:
              web: {<<: *common, build: ., environment: [A=1], depends_on: {db: {condition: x}}, healthcheck: {test: x}}
              db:
            """)
        #expect(found.services.map(\.scale) == [2, nil])
        #expect(found.warnings.isEmpty)
        #expect(try parse("services: {}").services.isEmpty)
    }

    @Test func portsAreBounded() throws {
        func ranges(_ count: Int) -> String {
            "expose: [\(Array(repeating: "1-65535", count: count).joined(separator: ", "))]"
        }
        #expect(try service(ranges(15)).containerPorts.count == 65_535)
        let found = try #require(problem(ranges(16)))
        #expect(found.message.hasPrefix("more than 1000000 ports"))
        #expect(found.key == "services.web.expose.15")
        let across = (0..<16).map { "  s\($0): {expose: [1-65535]}\n" }.joined()
        #expect(throws: CatalogueProblem.self) { try parse("services:\n" + across) }
    }

    @Test func warningsAreBounded() throws {
        var text = "services:\n"
        for index in 0..<1_500 { text += "  s\(index): {ports: ['1-2:80']}\n" }
        let warnings = try parse(text).warnings
        #expect(warnings.count == ComposeCatalogue.maximumWarnings)
        #expect(warnings.last?.message == "further warnings are left out")
    }

    @Test(arguments: [
        ("file:services.yaml", "services.yaml"), ("file:/etc/x.yaml", "/etc/x.yaml"),
        ("file:///etc/x.yaml", "/etc/x.yaml"), ("FILE:x", "x"), ("file:a:b", "a:b"),
    ])
    func registryURLs(_ text: String, _ path: String) throws {
        let url = try RegistryURL(text)
        #expect(url == .file(path: path))
        #expect(url.description == "file:\(path)")
    }

    @Test(arguments: [
        ("etcds://h?cert", "no value"), ("etcd:h", "write etcd://"),
        ("swarm:///var/run/docker.sock", "not supported"),
        ("swarm:///x", "not supported"), ("zookeeper://h", "not supported"), ("consul://h", "not supported"),
        ("dns://h:53/x", "not supported"), ("nacos://h", "not known"), ("services.yaml", "no scheme"),
        ("file:", "names no file"), ("file:dir/", "names no file"), ("file://host/x", "names a host"),
        ("", "no scheme"),
    ])
    func registryURLFaults(_ text: String, _ message: String) throws {
        let error = #expect(throws: RegistryURL.Problem.self) { try RegistryURL(text) }
        #expect(error?.description.contains(message) == true, "\(String(describing: error))")
    }
}
