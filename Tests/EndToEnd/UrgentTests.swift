import CLinux
import Glibc
import Testing

/// TCP urgent data (RFC 9293 section 3.8.5; RFC 6093 says why nobody should send it) does not stop what follows it.
@Suite struct UrgentTests {
    /// Sends the parts with an urgent byte between them, all of it before meshd sees any.
    private func send(
        _ first: [UInt8], urgent: UInt8, _ second: [UInt8], to mesh: MeshProcess, _ connection: Connection
    )
        throws
    {
        mesh.child.signal(SIGSTOP)
        defer { mesh.child.signal(SIGCONT) }
        try connection.send(first)
        var byte = urgent
        try demandEqual(CLinux.send(connection.fd, &byte, 1, Int32(MSG_OOB)), 1, "urgent byte")
        try connection.send(second)
    }

    @Test(arguments: [10, 60_000])
    func relayedBytesBehindAnUrgentOneArrive(count: Int) throws {
        let echo = try TCPInstance(serve: Relay.echo)
        let port = FreePort.take()
        let service = Catalogue.Service.tcp("relay", [echo]).publishing(port, to: 7000)
        try withMesh(Catalogue([service])) { mesh in
            let connection = try Connection.open(port)
            try Relay.checkEcho(connection)
            let part = Pattern.bytes(count)
            for _ in 0..<3 {
                try send(part, urgent: 0x21, part, to: mesh, connection)
                try demand(try connection.readExactly(2 * count) == part + part, "the stream without the urgent byte")
            }
            try send(part, urgent: 0x21, part, to: mesh, connection)
            connection.closeWrite()
            try demand(try connection.readToEnd() == part + part, "the end behind an urgent byte")
        }
    }

    @Test func requestBehindAnUrgentByteIsAnswered() throws {
        try Web.with(Behave.named) { mesh, _ in
            let client = try mesh.client()
            for _ in 0..<3 {
                let request = HTTPTestClient.request(host: Web.host)
                try send(Array(request[..<10]), urgent: 0x21, Array(request[10...]), to: mesh, client.connection)
                try demandEqual(try client.readResponse().status, 200, "status")
            }
        }
    }
}
