import Glibc
import Testing

/// Instances that lead back to the node itself: asked once, it would ask itself until it ran out of descriptors.
@Suite struct SelfReferenceTests {
    private func served(_ text: String, _ body: (MeshProcess, HTTPInstance) throws -> Void) throws {
        let other = try HTTPInstance("other")
        let catalogue = """
            services:
              other:
                labels: {aliyun.routing.port_80: other.example}
                x-mesh-instances: ["\(other.address)"]

            """
        let mesh = try MeshProcess.started(text: catalogue)
        try mesh.awaitAnswer("other.example", "other")
        try TextFile.replace(
            mesh.cataloguePath, with: catalogue + text.replacing("WEB", with: "\(mesh.http)"))
        try body(mesh, other)
        try mesh.awaitAnswer("other.example", "other")
    }

    private func awaitNamed(_ mesh: MeshProcess, _ service: String) throws {
        try eventually("it is named\n\(mesh.tail)") {
            try mesh.statusText().contains("problem: service \(service), instance")
        }
    }

    @Test func theWebListenerIsNoInstance() throws {
        let text = """
              loop:
                labels: {aliyun.routing.port_80: loop.example}
                x-mesh-instances: ["127.0.0.1:WEB"]
            """
        try served(text) { mesh, _ in
            try awaitNamed(mesh, "loop")
            try mesh.awaitAnswer("loop.example", "503")
            try demand(try mesh.metric("meshd_http_requests_total") ?? 0 < 100, "no request goes round")
            let explained = try mesh.run(["explain", "http://loop.example/", "--admin", mesh.admin])
            try demand(explained.output.contains("out: a listener of this node itself"), "\(explained.output)")
        }
    }

    /// The others of the service go on; and what is no listener any more is an instance like every other.
    @Test func aPublishedPortIsNoInstanceOfItsService() throws {
        let (port, spare) = (FreePort.take(), FreePort.take())
        let one = try HTTPInstance("one")
        func text(_ published: UInt16) -> String {
            """
              shop:
                labels: {aliyun.routing.port_80: shop.example}
                ports: ["\(published):80"]
                x-mesh-instances: ["127.0.0.1:\(port)", "\(one.address)"]
            """
        }
        try served(text(port)) { mesh, _ in
            try awaitNamed(mesh, "shop")
            for _ in 0..<8 {
                let direct = try HTTPTestClient.once(port, "127.0.0.1", "GET", "/", host: "x")
                try demandEqual(direct.text, "one", "answer at the published port")
                try demandEqual(try mesh.get("shop.example").text, "one", "answer of the route")
            }
            let before = TextFile.read(mesh.cataloguePath)
            try TextFile.replace(mesh.cataloguePath, with: before.replacing("\(port):80", with: "\(spare):80"))
            try eventually("it is named no more") { try !mesh.statusText().contains("problem: service shop") }
            let two = try HTTPInstance("two", port: port)
            try eventually("it is picked") { try mesh.get("shop.example").text == "two" }
            two.stop()
        }
    }

    /// Datagrams would go round as well.
    @Test func aDatagramPortIsNoInstanceOfItsService() throws {
        let port = FreePort.take()
        let text = """
              names:
                ports: ["\(port):53/udp"]
                x-mesh-instances: ["127.0.0.1:\(port)"]
            """
        try served(text) { mesh, _ in
            try awaitNamed(mesh, "names")
            let client = try Connection.openDatagrams(port)
            client.sendAsFarAsTaken([1])
            try eventually("it is dropped") {
                try mesh.metric("meshd_udp_dropped_datagrams_total", "no_instance") ?? 0 >= 1
            }
            try demandEqual(try mesh.metric("meshd_udp_flows"), 0, "flows")
        }
    }
}
