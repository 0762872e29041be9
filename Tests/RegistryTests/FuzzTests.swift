import MeshCore
import Registry
import TestSupport
import Testing

/// Mutated catalogues must be taken or refused, never trap, and every refusal is one line with a place.
@Suite struct FuzzTests {
    private static let count = 20_000
    private static let tokens = [
        "services", "labels", "ports", "external", "x-mesh-instances", "aliyun.routing.port_80", "mesh.", "aliyun.",
        "https://", "*.", "[::1]", "65536", "99999999999999999999", "-1", "&a ", "*a", "<<: ", "? ", "!!x ", "${X}",
        "\n", "  ", "\t", ": ", "- ", "{", "}", "[", "]", ";", "/", "://", "\"", "'", "|", "#", "\u{0}", "\u{feff}",
        "é",
    ]

    private static let inline = """
        services:
          a: &a
            ports: ["80", "127.0.0.1:8080:80", "[::1]:81:80/udp", "90-91:80-81", {target: 80, published: "5", host_ip: ::1}]
            expose: [1, 2-3]
            external: {host: [10.0.0.1], ports: [3306]}
            labels: {mesh.vip.80.protocol: http, mesh.publish.8080.protocol: http, mesh.aliases: a;b, mesh.balance: x}
            x-mesh-instances: [10.0.0.1, "[::1]", {address: 10.0.0.2, ports: {80: 9001}, weight: 3, id: x}]
          b: {<<: *a, labels: ["mesh.probe.url=tcp://container:1", mesh.probe.fall=2, "aliyun.routing.port_1=wss://x:/y;*"]}
        """

    private static func mutate(_ bytes: inout [UInt8], _ corpus: [[UInt8]], _ random: inout SeededRandom) {
        let place = Int.random(in: 0...bytes.count, using: &random)
        let end = min(bytes.count, place + Int.random(in: 0...12, using: &random))
        switch Int.random(in: 0..<6, using: &random) {
        case 0: bytes.removeSubrange(place..<end)
        case 1: bytes.insert(contentsOf: tokens.randomElement(using: &random)?.utf8.map { $0 } ?? [], at: place)
        case 2: if place < bytes.count { bytes[place] = UInt8.random(in: 0...255, using: &random) }
        case 3: bytes.insert(contentsOf: bytes[place..<end], at: place)
        case 4: bytes.replaceSubrange(place..<end, with: tokens.randomElement(using: &random)?.utf8.map { $0 } ?? [])
        default:
            guard let other = corpus.randomElement(using: &random), !other.isEmpty else { return }
            let from = Int.random(in: 0..<other.count, using: &random)
            bytes.insert(contentsOf: other[from..<min(other.count, from + 40)], at: place)
        }
    }

    @Test func mutatedCataloguesNeverTrap() throws {
        let corpus = [
            try fileBytes("examples/rest/services.yaml"), try fileBytes("examples/shop/services.yaml"),
            Array(Self.inline.utf8),
        ]
        var random = SeededRandom(seed: 2)
        var taken = 0
        var refused = 0
        for step in 0..<Self.count {
            var bytes = corpus[step % corpus.count]
            for _ in 0..<Int.random(in: 1...6, using: &random) { Self.mutate(&bytes, corpus, &random) }
            do throws(CatalogueProblem) {
                let found = try ComposeCatalogue.parse(bytes, file: "f", routingDomain: step % 2 == 0 ? "x.com" : nil)
                taken += 1
                for service in found.services {
                    #expect(service.containerPorts == service.containerPorts.sorted(), "step \(step)")
                    #expect(
                        service.routes.allSatisfy { $0.path.hasPrefix("/") && $0.containerPort > 0 }, "step \(step)")
                }
            } catch {
                refused += 1
                let line = error.description
                #expect(!line.utf8.contains(0x0a) && error.line > 0 && error.column > 0, "step \(step): \(line)")
            }
        }
        // Both outcomes must be common, or the mutations explore nothing.
        #expect(taken > Self.count / 20 && refused > Self.count / 20, "\(taken) taken, \(refused) refused")
    }

    @Test func randomRouteTextNeverTraps() {
        var random = SeededRandom(seed: 3)
        let alphabet = ["a", ".", "*", "/", ":", "//", "[", "]", "::1", "http", ";", " ", "-", "_", "%", "é", "1", "?"]
        for _ in 0..<5_000 {
            let text = (0..<Int.random(in: 0...10, using: &random)).compactMap { _ in
                alphabet.randomElement(using: &random)
            }
            let quoted = "'\(text.joined())'"
            _ = problem("labels: {mesh.routing.port_80: \(quoted), mesh.probe.url: \(quoted)}")
            _ = problem("labels: {mesh.routing.port_80: \(quoted)}\nports: [\(quoted)]\nx-mesh-instances: [\(quoted)]")
        }
    }
}
