import MeshCore
import NetAddress
import TestSupport
import Testing

@testable import Registry

/// The form in which catalogues are kept on disk.
@Suite struct KeptCatalogueTests {
    private static func example() throws -> KeptCatalogue {
        let full = try parse(
            """
            services:
              web:
                labels:
                  aliyun.routing.port_80: https://shop.company.com/cart;*.company.com;*
                  aliyun.probe.url: http://container:80/health
                  aliyun.scale: "3"
                  mesh.aliases: a.local
                  mesh.balance: least_connections
                  mesh.vip.80.protocol: http
                ports: ["127.0.0.1:8080:80", "[::1]:53:53/udp", {target: 81, published: 8081, mode: host}, "82"]
                x-mesh-instances:
                  - 10.0.0.1
                  - {address: 10.0.0.2, ports: {80: 9001}, node: n, zone: z, version: "1", weight: 7, id: x}
              db: {external: {host: 10.0.0.3, ports: [3306]}, labels: {mesh.probe.url: "tcp://container:3306"}}
            """)
        var services = full.services
        services[0].vip = IPAddress("127.96.0.9")
        services[0].isSticky = true
        services[0].instanceProtocol = .http2
        services[0].upstreamTLS = UpstreamTLS(serverName: "a.example", authorities: "ca.pem", verifies: false)
        services[1].probe?.tls = UpstreamTLS(serverName: "b.example")
        services[0].preference = LocalityPreference(.zone, spillBelowPercent: 30)
        services[0].slowStartSeconds = 2.5
        services[0].proxyVersion = .v2
        services[0].tcpIdleMilliseconds = 900_000
        services[1].probe?.proxyVersion = .v1
        services[0].certificate = .files(certificate: "a.crt", key: "a.key")
        services[1].certificate = .text("-----BEGIN")
        services[1].probe?.kind = .grpc(containerPort: 3306, service: "s")
        let transforms = [
            RouteTransform(
                stripPrefix: "/a", insertPrefix: "/b", redirect: RouteRedirect(.https(port: 443), status: 308),
                transportSecurity: TransportSecurity(maxAge: .max, includesSubdomains: true, isPreloaded: true)),
            RouteTransform(redirect: RouteRedirect(.location("https://x/"))),
            RouteTransform(redirect: RouteRedirect(.locationWithTarget("https://x/"))),
        ]
        let conditions: [RouteCondition] = [
            .method(["GET", "PUT"]), .header(name: "a", .present), .query(name: "b", .exact("c")),
            .query(name: "d", .prefix("e")), .port(81),
        ]
        services[0].routes += transforms.map {
            RouteSpec(
                scheme: .wss, host: .glob("www.*"), path: "/*.gif", pathKind: .glob, containerPort: 80,
                conditions: conditions, priority: -3, transform: $0)
        }
        var instances = full.instances
        instances[0].isDraining = true
        instances[0].verdict = .unhealthy(cause: "503")
        instances[1].verdict = .healthy
        return KeptCatalogue(
            source: "etcd://127.0.0.1/mesh", toldAtNanoseconds: 1_700_000_000_000_000_001, services: services,
            instances: instances)
    }

    @Test func whatWasWrittenIsRead() throws {
        let kept = try Self.example()
        #expect(try KeptCatalogue(kept.encoded(), source: kept.source) == kept)
        let empty = KeptCatalogue(source: "file:a", toldAtNanoseconds: 0, services: [], instances: [])
        #expect(try KeptCatalogue(empty.encoded(), source: "file:a") == empty)
    }

    @Test func aSourcesContentIsWrittenAsItsListsAre() throws {
        let kept = try Self.example()
        var catalogue = Catalogue(sources: [kept.source])
        _ = catalogue.apply(
            SourceEvent(
                source: kept.source, revision: 1,
                change: .reset(services: kept.services, instances: kept.instances.reversed())))
        let content = try #require(catalogue.content(of: kept.source))
        let image = KeptCatalogue.encoded(
            content, source: kept.source, toldAtNanoseconds: kept.toldAtNanoseconds)
        let read = try KeptCatalogue(image, source: kept.source)
        #expect(read.services == content.sortedServices)
        #expect(read.instances == content.sortedInstances)
        #expect(read.instances == kept.instances.sorted { $0.key < $1.key })
    }

    @Test(
        arguments: [
            (0, 5), (25_000_000, 5), (26_000_000, 5.2), (150_000_000, 30), (1_500_000_000, 300), (.max, 300),
        ] as [(UInt64, Double)])
    func whatTakesLongIsWrittenSeldom(encoding: UInt64, seconds: Double) {
        #expect(KeptPause.nanoseconds(afterEncoding: encoding) == UInt64(seconds * 1e9))
    }

    /// A field that is added and not written would be lost over a restart.
    @Test func noFieldIsForgotten() throws {
        let kept = try Self.example()
        let service = try #require(kept.services.first)
        #expect(Mirror(reflecting: service).children.count == 20)
        #expect(Mirror(reflecting: try #require(kept.instances.first)).children.count == 11)
        #expect(Mirror(reflecting: try #require(service.probe)).children.count == 8)
        #expect(Mirror(reflecting: try #require(service.routes.first)).children.count == 8)
        #expect(Mirror(reflecting: try #require(service.routes.last).transform).children.count == 4)
        #expect(Mirror(reflecting: try #require(service.publishedPorts.first)).children.count == 6)
    }

    @Test func checksumIsTheStandardOne() {
        #expect(CRC64.checksum("123456789".utf8) == 0x995d_c9bb_df19_39fa)
        #expect(KeptCatalogue.fileName(source: "").utf8.count == 16)
    }

    @Test func faultsAreNamed() throws {
        let kept = try Self.example()
        let bytes = kept.encoded()
        func fault(_ bytes: [UInt8], _ source: String = kept.source) -> String? {
            do throws(KeptCatalogue.Problem) {
                _ = try KeptCatalogue(bytes, source: source)
                return nil
            } catch {
                return error.description
            }
        }
        #expect(fault(bytes, "file:b") == "it is of another registry")
        #expect(fault([]) == "it is no kept catalogue")
        #expect(fault(Array("meshd catalogue 1\n".utf8)) == "its version is not known")
        #expect(fault(Array("meshd catalogue 3\n".utf8)) == "it ends too early")
        for index in stride(from: 18, to: bytes.count, by: 7) {
            var broken = bytes
            broken[index] ^= 0x10
            #expect(fault(broken) == "its checksum does not match")
            #expect(fault(Array(bytes[..<index])) != nil)
        }
    }

    /// Bytes with a right checksum and any content are taken or refused, never a trap.
    @Test func anyContentIsTakenOrRefused() throws {
        let bytes = try Self.example().encoded()
        let start = "meshd catalogue 1\n".utf8.count
        var random = SeededRandom(seed: 7)
        var refused = 0
        for _ in 0..<20_000 {
            var body = Array(bytes[(start + 8)...])
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                let place = Int.random(in: 0..<body.count, using: &random)
                switch Int.random(in: 0..<3, using: &random) {
                case 0: body[place] = UInt8.random(in: 0...255, using: &random)
                case 1: body.remove(at: place)
                default: body.insert(contentsOf: [0xff, 0xff, 0x7f], at: place)
                }
            }
            var head = ImageWriter()
            head.put(fixed: CRC64.checksum(body))
            let image = Array(bytes[..<start]) + head.bytes + body
            if (try? KeptCatalogue(image, source: "etcd://127.0.0.1/mesh")) == nil { refused += 1 }
        }
        #expect((1..<20_000).contains(refused))
    }
}
