import NetAddress
import Testing

@testable import MeshCore

/// Instances that lead back to the node itself.
@Suite struct OwnListenerTests {
    private func listeners(_ texts: String..., local: [String] = []) -> OwnListeners {
        OwnListeners(
            Set(texts.map { ListenerKey(.tcp, SocketAddress($0)!) }), local: Set(local.map { IPAddress($0)! }))
    }

    @Test(arguments: [
        ("10.0.0.1:80", "10.0.0.1:80", true), ("10.0.0.1:80", "10.0.0.1:81", false),
        ("10.0.0.1:80", "10.0.0.2:80", false), ("0.0.0.0:80", "127.0.0.9:80", true),
        ("0.0.0.0:80", "127.96.3.4:80", true), ("0.0.0.0:80", "192.0.2.1:80", true),
        ("0.0.0.0:80", "192.0.2.2:80", false), ("[::]:80", "192.0.2.1:80", true), ("[::]:80", "[::1]:80", true),
        ("[::]:80", "[fd00::1]:80", true), ("[::]:80", "[fd00::2]:80", false), ("0.0.0.0:80", "[::1]:80", false),
    ])
    func aListenerOnEveryAddressAnswersAtTheNodesOwn(listener: String, address: String, isOwn: Bool) {
        let own = listeners(listener, local: ["192.0.2.1", "fd00::1"])
        let range = MeshFixture.options.vipRange
        #expect(own.leadsBack(SocketAddress(address)!, .tcp, virtual: range) == isOwn)
        #expect(!own.leadsBack(SocketAddress(address)!, .udp, virtual: range))
    }

    @Test func theyAreLeftOutNamedAndTakenInAgain() {
        var mesh = MeshFixture()
        mesh.add(.web("web"), addresses: "10.0.0.1:90", "10.0.0.2:80")
        mesh.add(.web("far"), addresses: "10.0.0.3:80")
        mesh.compile()
        func picked() -> [String] {
            mesh.endpoints("web").map(\.address.description)
        }
        #expect(picked() == ["10.0.0.1:90", "10.0.0.2:80"])
        #expect(mesh.compiler.listens(on: listeners("10.0.0.9:80")) == [])
        let touched = mesh.compiler.listens(on: listeners("10.0.0.1:90", "10.0.0.9:80"))
        #expect(touched == ["web"])
        mesh.touch(touched)
        #expect(picked() == ["10.0.0.2:80"])
        #expect(mesh.compiler.problems.filter { $0.contains("10.0.0.1:90 is a listener of this node") }.count == 1)
        #expect(mesh.compiler.leadsBack(SocketAddress("10.0.0.1:90")!, .web("web"), 80))
        mesh.touch(mesh.compiler.listens(on: listeners("10.0.0.9:80")))
        #expect(picked() == ["10.0.0.1:90", "10.0.0.2:80"])
        #expect(mesh.compiler.problems == [])
    }
}

extension MeshFixture {
    /// What the control loop does with services it is told to compile.
    fileprivate mutating func touch(_ services: Set<String>) {
        for service in services { set(service, "none", .healthy) }
        compile()
    }
}
