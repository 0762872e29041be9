import Glibc
import Testing

/// TCP through meshd.
@Suite struct RelayTests {
    /// A mesh with one relayed service on a published port.
    private func withRelay(
        _ instances: [TCPInstance], _ flags: [String] = [], _ body: (MeshProcess, UInt16) throws -> Void
    ) throws {
        let port = FreePort.take()
        let service = Catalogue.Service.tcp("relay", instances).publishing(port, to: 7000)
        try withMesh(Catalogue([service]), .init(flags)) { mesh in try body(mesh, port) }
    }

    @Test func clientMayCloseItsSideFirst() throws {
        let instance = try TCPInstance { connection in
            guard let bytes = try? connection.readToEnd() else { return }
            connection.sendAsFarAsTaken(Array("got \(bytes.count)".utf8))
        }
        try withRelay([instance]) { _, port in
            let connection = try Connection.open(port)
            try connection.send(Pattern.bytes(100_000))
            connection.closeWrite()
            try demandEqual(String(decoding: try connection.readToEnd(), as: UTF8.self), "got 100000", "answer")
        }
    }

    @Test func instanceMayCloseItsSideFirst() throws {
        let received = Counter()
        let instance = try TCPInstance { connection in
            connection.sendAsFarAsTaken(Array("bye".utf8))
            connection.closeWrite()
            received.add((try? connection.readToEnd().count) ?? -1_000)
        }
        try withRelay([instance]) { _, port in
            let connection = try Connection.open(port)
            try demandEqual(String(decoding: try connection.readToEnd(), as: UTF8.self), "bye", "greeting")
            try connection.send(Pattern.bytes(50_000))
            connection.closeWrite()
            try eventually("the instance has it all: \(received.value)") { received.value == 50_000 }
        }
    }

    @Test func resetReachesTheOtherSide() throws {
        let instance = try TCPInstance { connection in
            _ = try? connection.readSome()
            connection.prepareReset()
        }
        try withRelay([instance]) { _, port in
            let connection = try Connection.open(port)
            try connection.send("x")
            try demand(connection.isClosedByPeer(), "the client's connection ends")
        }
    }

    @Test func idleSessionOutlivesTheHTTPIdleTimeout() throws {
        let echo = try TCPInstance(serve: Relay.echo)
        let web = try HTTPInstance("web")
        let port = FreePort.take()
        let catalogue = Catalogue([
            Catalogue.Service.tcp("relay", [echo]).publishing(port, to: 7000), .web("web", "web.example", [web]),
        ])
        try withMesh(catalogue, .init([Flag.idleTimeout, "1"])) { mesh in
            let session = try Connection.open(port)
            try Relay.checkEcho(session)
            let idle = try mesh.client()
            _ = try idle.exchange(host: "web.example")
            try demand(idle.connection.isClosedByPeer(within: 20), "the idle HTTP connection is closed")
            try Relay.checkEcho(session, "still here")
        }
    }

    /// The service's own, whatever the node's settings say; an idle session of another one is not concerned.
    @Test(arguments: [("0.4", "0", true), ("0", "0.4", false)])
    func aServiceHasAnIdleTimeoutOfItsOwn(label: String, setting: String, isEnded: Bool) throws {
        let echo = try TCPInstance(serve: Relay.echo)
        let ports = (own: FreePort.take(), other: FreePort.take())
        let own = Catalogue.Service.tcp("own", [echo]).label("mesh.tcp.idle_timeout_seconds", label)
        let other = Catalogue.Service.tcp("other", [echo])
        let catalogue = Catalogue([
            own.publishing(ports.own, to: 7000), other.publishing(ports.other, to: 7000),
        ])
        try withMesh(catalogue, .init(["--tcp-idle-timeout-seconds", setting])) { mesh in
            let sessions = (own: try Connection.open(ports.own), other: try Connection.open(ports.other))
            try Relay.checkEcho(sessions.own)
            try Relay.checkEcho(sessions.other)
            let (ended, stays) = isEnded ? sessions : (sessions.other, sessions.own)
            try demand(ended.isClosedByPeer(within: 20), "one is ended")
            try Relay.checkEcho(stays, "still here")
            try demandEqual(try mesh.metric("meshd_tcp_idle_timeouts_total"), 1, "idle timeouts")
        }
    }

    @Test func bulkArrivesWhole() throws {
        let total = 64 << 20
        let piece = 1 << 20
        let isRight = Flagged()
        let instance = try TCPInstance { connection in
            // What comes is checked and counted; the same amount of the pattern goes back.
            var got = 0
            while got < total, let bytes = try? connection.readSome() {
                guard Pattern.matches(bytes, at: got) else { return }
                got += bytes.count
            }
            if got == total { isRight.set() }
            for at in stride(from: 0, to: total, by: piece) {
                guard connection.sendAsFarAsTaken(Pattern.bytes(piece, from: at)) == piece else { return }
            }
        }
        try withRelay([instance]) { _, port in
            let connection = try Connection.open(port, deadline: 30)
            for at in stride(from: 0, to: total, by: piece) { try connection.send(Pattern.bytes(piece, from: at)) }
            var got = 0
            while got < total {
                let bytes = try connection.readSome()
                try demand(Pattern.matches(bytes, at: got), "wrong bytes after \(got)")
                got += bytes.count
            }
            try demand(isRight.isSet, "what the instance got was right")
            try demandEqual(try connection.readToEnd().count, 0, "bytes after the end")
        }
    }

    @Test func aSlowReaderDoesNotGrowMemory() throws {
        let sent = Counter()
        let instance = try TCPInstance { connection in
            let piece = Pattern.bytes(1 << 20)
            for _ in 0..<128 {
                let count = connection.sendAsFarAsTaken(piece)
                sent.add(count)
                if count < piece.count { return }
            }
        }
        try withRelay([instance]) { mesh, port in
            let before = try mesh.residentKiB()
            let connection = try Connection.open(port, receiveBuffer: 65_536)
            try Stall.wait(for: sent)
            try demand(sent.value < 100 << 20, "back pressure reached the instance, which sent \(sent.value)")
            try demand(try mesh.residentKiB() < before + 16_384, "grew from \(before) to \(try mesh.residentKiB()) KiB")
            connection.close()
        }
    }

    @Test func dialFailureFallsToAnotherInstance() throws {
        let dead = try TCPInstance(serve: Relay.echo)
        let alive = try TCPInstance(serve: Relay.echo)
        dead.stop()
        try withRelay([dead, alive]) { _, port in
            for number in 0..<20 { try Relay.checkEcho(try Connection.open(port), "session \(number)") }
            try demandEqual(alive.acceptedCount, 20, "sessions at the living instance")
        }
    }

    @Test func withoutAnInstanceTheSessionIsClosed() throws {
        let dead = try TCPInstance(serve: Relay.echo)
        dead.stop()
        try withRelay([dead]) { _, port in
            try demand(try Connection.open(port).isClosedByPeer(within: 20), "closed")
        }
    }

    @Test func sessionsOfOtherServicesSurviveAnEdit() throws {
        let instance = try TCPInstance(serve: Relay.echo)
        let port = FreePort.take()
        var catalogue = Catalogue([Catalogue.Service.tcp("relay", [instance]).publishing(port, to: 7000)])
        try withMesh(catalogue) { mesh in
            let session = try Connection.open(port)
            try Relay.checkEcho(session)
            let web = try HTTPInstance("web")
            catalogue.services.append(.web("web", "web.example", [web]))
            try mesh.write(catalogue)
            try eventually("the new service answers") { try mesh.get("web.example").status == 200 }
            try Relay.checkEcho(session, "same session")
        }
    }
}

enum Stall {
    /// Waits until `counter` moved and then stood still for a while: the sender is blocked.
    static func wait(for counter: Counter) throws {
        var last = -1
        var since = monotonicSeconds()
        try eventually(within: 30, "the sender blocks") {
            let now = monotonicSeconds()
            if counter.value != last { (last, since) = (counter.value, now) }
            return last > 0 && now - since > 0.7
        }
    }
}
