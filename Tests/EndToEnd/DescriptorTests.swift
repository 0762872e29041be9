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

    @Test func dialWithoutADescriptorSaysSo() throws {
        // Without keep-alive each request is a dial.
        let instance = try HTTPInstance("web", Behave.raw("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"))
        try Web.with([instance], workers: 1) { mesh in
            let client = try mesh.client()
            // Once it has been answered it has its descriptor.
            try demandEqual(try client.exchange(host: "nobody.example").status, 404, "a first request")
            // A descriptor that is closed meanwhile, as an admin connection's, leaves room for one more dial.
            let response = try awaited("a dial without a descriptor") {
                let taken = try self.openDescriptors(mesh)
                try self.setLimit((0...).first { !taken.contains($0) } ?? 0, mesh)
                let response = try client.exchange(host: Web.host)
                return response.status == 200 ? nil : response
            }
            try demandEqual(response.status, 503, "status")
            let reason = response.proxyStatus ?? "none"
            try demand(reason.contains("out of descriptors"), "Proxy-Status \(reason)")
            try self.setLimit(1024, mesh)
            try demandEqual(try mesh.metric("meshd_dial_shortages_total", "of=\"descriptors\""), 1, "counted")
            try demandEqual(try client.exchange(host: Web.host).status, 200, "afterwards")
        }
    }

    /// Sets the soft limit of descriptors of the running process.
    private func setLimit(_ limit: Int, _ mesh: MeshProcess) throws {
        let arguments = ["--pid", "\(mesh.pid)", "--nofile=\(limit):"]
        let child = try ChildProcess("/usr/bin/prlimit", arguments, files: mesh.directory.path + "/prlimit")
        try demandEqual(try child.waitExit(), 0, "prlimit: \(child.errors)")
    }

    private func openDescriptors(_ mesh: MeshProcess) throws -> Set<Int> {
        guard let folder = opendir("/proc/\(mesh.pid)/fd") else { throw Failure("no descriptors of \(mesh.pid)") }
        defer { closedir(folder) }
        var numbers: Set<Int> = []
        while let entry = readdir(folder) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            if let number = Int(name) { numbers.insert(number) }
        }
        return numbers
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
