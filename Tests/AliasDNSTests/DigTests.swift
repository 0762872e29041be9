import Glibc
import MeshCore
import NetAddress
import Testing

@testable import AliasDNS

private let digPath = "/usr/bin/dig"

/// A client that others wrote.
@Suite(.enabled(if: access(digPath, X_OK) == 0, "dig (bind9-dnsutils) is not installed"))
struct DigTests {
    private func dig(_ rig: Rig, _ arguments: String, at host: String = "127.0.0.1") -> [String] {
        guard let pipe = popen("\(digPath) @\(host) -p \(rig.address.port) +tries=1 \(arguments) 2>&1", "r") else {
            return []
        }
        defer { pclose(pipe) }
        var lines: [String] = []
        var buffer = [CChar](repeating: 0, count: 4096)
        while fgets(&buffer, Int32(buffer.count), pipe) != nil {
            let line = String(decoding: buffer.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
            lines.append(String(line.dropLast(line.hasSuffix("\n") ? 1 : 0)))
        }
        return lines
    }

    @Test func asksOverIPv6() throws {
        // A machine may have no IPv6; then there is nothing to try.
        guard let rig = try? Rig(listen: SocketAddress(.anyV6, 0)) else { return }
        defer { rig.stop() }
        #expect(dig(rig, "+short web A", at: "::1") == ["127.96.0.1"])
        #expect(dig(rig, "+short +tcp web A", at: "::1") == ["127.96.0.1"])
    }

    @Test func asksWhatOperatorsAsk() throws {
        let rig = try Rig(zone: TestZone.make(tasks: 100))
        defer { rig.stop() }
        #expect(dig(rig, "+short RestServer.local A") == ["127.96.0.1"])
        #expect(dig(rig, "+short dual.local AAAA") == ["fd00::7"])
        #expect(dig(rig, "+short +tcp web A") == ["127.96.0.1"])
        // Truncated first, then over TCP by itself.
        #expect(dig(rig, "+short tasks.web A").filter { $0.hasPrefix("10.0.0.") }.count == 100)
        #expect(rig.counters.truncated == 1)
        let unknown = dig(rig, "nosuch.local A")
        #expect(unknown.contains { $0.contains("status: NXDOMAIN") })
        #expect(unknown.contains { $0.contains("SOA") && $0.contains("meshd.invalid. hostmaster.meshd.invalid. 42 ") })
        #expect(dig(rig, "example.com A").contains { $0.contains("status: REFUSED") })
        #expect(dig(rig, "+edns=1 +noednsneg web A").contains { $0.contains("status: BADVERS") })
        #expect(!unknown.contains { $0.contains("malformed") || $0.contains("extra bytes") })
    }
}
