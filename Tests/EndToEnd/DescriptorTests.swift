import Glibc
import Testing

/// Out of descriptors: wait, say so, never spin.
@Suite struct DescriptorTests {
    @Test func atTheDescriptorLimitMeshdRestsAndServesAgain() throws {
        let instance = try TCPInstance(serve: Relay.echo)
        let port = FreePort.take()
        let catalogue = Catalogue([Catalogue.Service.tcp("relay", [instance]).publishing(port, to: 7000)])
        try withMesh(catalogue, .init(descriptorLimit: 128)) { mesh in
            // The kernel completes these itself; meshd has descriptors for a part of them.
            var sessions = try (0..<200).map { _ in try Connection.open(port) }
            for session in sessions { session.sendAsFarAsTaken(Array("x".utf8)) }
            try eventually("it relays what it can") { instance.acceptedCount >= 10 }
            try restsFor(1.5, mesh)
            try demand(mesh.child.poll() == nil, "meshd ended")
            try demand(mesh.log.lowercased().contains("descriptor"), "the log says so")
            for session in sessions { session.close() }
            sessions = []
            try eventually(within: 20, "it serves again") { self.canRelay(port) }
        }
    }

    private func canRelay(_ port: UInt16) -> Bool {
        guard let connection = try? Connection.open(port, deadline: 2) else { return false }
        return (try? Relay.checkEcho(connection)) != nil
    }

    /// The processor time used in `seconds` stays well below a busy loop's.
    private func restsFor(_ seconds: Double, _ mesh: MeshProcess) throws {
        let before = try mesh.processorSeconds()
        let start = monotonicSeconds()
        try eventually("the observed time passes") { monotonicSeconds() - start > seconds }
        let used = try mesh.processorSeconds() - before
        try demand(used < seconds / 2, "used \(used) s of processor time in \(seconds) s")
    }

    @Test func webListenerAtTheLimitServesAgainToo() throws {
        let instance = try HTTPInstance("web")
        try withMesh(Catalogue([.web("web", Web.host, [instance])]), .init(descriptorLimit: 96)) { mesh in
            var clients = try (0..<200).map { _ in try Connection.open(mesh.http) }
            try restsFor(1, mesh)
            for client in clients { client.close() }
            clients = []
            try eventually(within: 20, "it serves again") {
                guard let client = try? HTTPTestClient(mesh.http, deadline: 2) else { return false }
                return (try? client.exchange(host: Web.host).status) == 200
            }
        }
    }
}
