import Glibc
import Testing

/// A gibibyte each way between the protocols, by curl and nginx: neither holds it in memory, and nor does meshd.
@Suite struct LargeBodyTests {
    private static let size = 1 << 30

    /// What a shell says, which ends well.
    private static func shell(_ command: String, _ files: String) throws -> String {
        let child = try ChildProcess("/bin/bash", ["-o", "pipefail", "-c", command], files: files)
        try demandEqual(try child.waitExit(within: 120), 0, "exit of \(command): \(child.errors)")
        return String(child.output.prefix { $0 != " " && $0 != "\n" })
    }

    private static func peakKiB(_ mesh: MeshProcess) throws -> Int {
        let line = TextFile.read("/proc/\(mesh.pid)/status").split(separator: "\n").first { $0.hasPrefix("VmHWM:") }
        guard let line, let value = Int(line.filter(\.isNumber)) else { throw Failure("no VmHWM of \(mesh.pid)") }
        return value
    }

    @Test func aGibibyteEachWayBetweenTheProtocols() throws {
        let files = try TemporaryDirectory()
        let (folder, body) = (files.path, files.path + "/body")
        let digest = "openssl dgst -sha256 -r"
        let source = "openssl enc -aes-128-ctr -nosalt -K 01 -iv 02 -in /dev/zero 2>/dev/null | head -c \(Self.size)"
        let sum = try Self.shell("(\(source) || true) | tee \(body) | \(digest)", folder + "/make")
        try demandEqual(try Self.shell("stat -c %s \(body)", folder + "/stat"), String(Self.size), "size")
        let (first, firstPort) = try Nginx.start(folder + "/h1", "dav_methods PUT;")
        let (second, secondPort) = try Nginx.start(folder + "/h2", isHTTP2: true, "dav_methods PUT;")
        func service(_ name: String, _ port: UInt16, _ more: [(String, String)]) -> Catalogue.Service {
            .init(
                name: name, labels: [("aliyun.routing.port_8080", "\(name).example")] + more,
                instances: ["127.0.0.1:\(port)"])
        }
        let catalogue = Catalogue([
            service("h1", firstPort, []), service("h2", secondPort, [("mesh.protocol", "h2c")]),
        ])
        try withMesh(catalogue) { mesh in
            for (instance, protocolFlag) in [("h2", "--http1.1"), ("h1", "--http2-prior-knowledge")] {
                let host = "\(instance).example"
                let curl =
                    "curl -sS --fail --max-time 100 \(protocolFlag) --resolve \(host):\(mesh.http):127.0.0.1"
                    + " http://\(host):\(mesh.http)"
                try demandEqual(symlink(body, "\(folder)/\(instance)/body"), 0, "symlink")
                let got = try Self.shell("\(curl)/body | \(digest)", "\(folder)/get-\(instance)")
                try demandEqual(got, sum, "from \(instance)")
                _ = try Self.shell("\(curl)/up -T \(body)", "\(folder)/put-\(instance)")
                let kept = try Self.shell("\(digest) \(folder)/\(instance)/up", "\(folder)/sum-\(instance)")
                try demandEqual(kept, sum, "to \(instance)")
                try demandEqual(unlink("\(folder)/\(instance)/up"), 0, "unlink")
            }
            try demand(try Self.peakKiB(mesh) < 64 << 10, "most memory: \(try Self.peakKiB(mesh)) KiB")
            try demandEqual(first.poll() ?? second.poll(), nil, "nginx still runs")
        }
    }
}
