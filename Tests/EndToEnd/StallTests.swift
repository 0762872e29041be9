import Glibc
import Testing

/// Bodies that pause: a deadline counts from the last pause, and only against the side that is waited for.
@Suite struct StallTests {
    /// Lets so much time go by; what happens meanwhile is the test.
    private func pass(_ seconds: Double) throws {
        let end = monotonicSeconds() + seconds
        try eventually("time passes") { monotonicSeconds() >= end }
    }

    private func post(_ count: Int) -> String {
        "POST /upload HTTP/1.1\r\nHost: \(Web.host)\r\nContent-Length: \(count)\r\n\r\n"
    }

    private func trickle(_ client: HTTPTestClient, _ count: Int) throws {
        for _ in 0..<count {
            try pass(0.25)
            try client.connection.send("x")
        }
    }

    /// The idle timeout of a pooled connection ends with its idleness.
    @Test func longUploadOnAReusedConnectionIsNotCut() throws {
        try Web.with(Behave.named, ["--upstream-idle-timeout-seconds", "1", Flag.bodyTimeout, "5"]) { mesh, instance in
            let client = try mesh.client()
            for _ in 0..<2 { _ = try client.exchange(host: Web.host) }
            try client.connection.send(post(10))
            try trickle(client, 10)
            try demandEqual(try client.readResponse(to: "POST").status, 200, "status")
            try demandEqual(Set(instance.requests.map(\.number)).count, instance.requests.count, "one connection")
        }
    }

    /// An instance that was waited for once is not timed out later, while the client is waited for.
    @Test func blockedInstanceThatCaughtUpIsNotTimedOut() throws {
        let gate = Gate()
        let total = 32 << 20
        try Web.with(
            { exchange in
                gate.wait()
                try exchange.answer(text: String(try exchange.readBody().count))
                return .keep
            }, [Flag.bodyTimeout, "1.5"]
        ) { mesh, _ in
            let client = try mesh.client()
            try client.connection.send(post(total))
            client.connection.setDeadline(0.3)
            let body = Pattern.bytes(total - 10)
            let taken = client.connection.sendAsFarAsTaken(body)
            gate.open()
            client.connection.setDeadline(15)
            try client.connection.send(Array(body[taken...]))
            try trickle(client, 10)
            let response = try client.readResponse(to: "POST")
            try demandEqual(response.status, 200, "status, \(response.proxyStatus ?? "")")
            try demandEqual(response.text, String(total), "octets at the instance")
        }
    }

    /// A client that was waited for once is not timed out later, while the instance takes its time.
    @Test func clientIsNotTimedOutForASlowInstance() throws {
        let total = 40 << 20
        try Web.with(
            { exchange in
                var left = total
                while left > 0 {
                    left -= try exchange.connection.readExactly(min(left, 1 << 20)).count
                    usleep(60_000)
                }
                try exchange.answer(text: "whole")
                return .close
            }, [Flag.bodyTimeout, "1"]
        ) { mesh, _ in
            let client = try mesh.client()
            try client.connection.send(post(total))
            try pass(0.2)
            try client.connection.send(Pattern.bytes(total))
            let response = try client.readResponse(to: "POST")
            try demandEqual(response.status, 200, "status, \(response.proxyStatus ?? "")")
        }
    }

    @Test func stalledUploadIsTimedOutOnce() throws {
        try Web.with(Behave.named, [Flag.bodyTimeout, "1"]) { mesh, _ in
            let client = try mesh.client()
            try client.connection.send(post(10) + "half")
            let response = try client.readResponse(to: "POST")
            try demandEqual(response.status, 408, "status")
            try demand(client.connection.isClosedByPeer(), "closed")
            try mesh.settles()
        }
    }

    @Test func instanceThatTakesNoBodyIsTimedOut() throws {
        let gate = Gate()
        try Web.with(
            { exchange in
                gate.wait()
                return .close
            }, [Flag.bodyTimeout, "1"]
        ) { mesh, _ in
            let client = try mesh.client()
            try client.connection.send(post(64 << 20))
            client.connection.setDeadline(0.5)
            client.connection.sendAsFarAsTaken(Pattern.bytes(64 << 20))
            client.connection.setDeadline(15)
            try demandEqual(try client.readResponse(to: "POST").status, 504, "status")
            gate.open()
            try mesh.settles()
        }
    }

    @Test func clientThatReadsNothingIsCut() throws {
        try Web.with(
            { exchange in
                try exchange.answer(body: Pattern.bytes(64 << 20))
                return .close
            }, [Flag.bodyTimeout, "1"]
        ) { mesh, _ in
            let client = try mesh.client()
            try client.send(host: Web.host)
            try eventually("the exchange is under way") { try mesh.inFlight() == 1 }
            try mesh.settles()
        }
    }
}

extension MeshProcess {
    /// Sum of `inFlight` over all instances.
    func inFlight() throws -> Int {
        func sum(_ value: JSONValue) -> Int {
            var total = 0
            if case .number(let number)? = value["inFlight"] { total += Int(number) }
            return total + value.children.map(sum).reduce(0, +)
        }
        return sum(try status())
    }

    /// Open sockets; pipes are kept for reuse.
    var socketCount: Int {
        guard let directory = opendir("/proc/\(pid)/fd") else { return -1 }
        defer { closedir(directory) }
        var count = 0
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            var target = [CChar](repeating: 0, count: 64)
            let length = readlink("/proc/\(pid)/fd/\(name)", &target, 63)
            if length > 0,
                String(decoding: target.prefix(length).map(UInt8.init(bitPattern:)), as: UTF8.self).hasPrefix("socket:")
            {
                count += 1
            }
        }
        return count
    }

    /// Nothing is in flight any more.
    func settles() throws {
        try eventually(within: 20, "nothing is in flight") { try inFlight() == 0 }
    }
}
