import NetAddress
import Testing

@testable import Registry

@Suite struct DockerURLTests {
    private func url(_ text: String) throws -> DockerURL? {
        guard case .docker(let url) = try RegistryURL(text) else { return nil }
        return url
    }

    @Test func sockets() throws {
        let url = try #require(try url("docker:///var/run/docker.sock"))
        #expect(url.engine == .unix(path: "/var/run/docker.sock"))
        #expect(url.isLocal && url.reach == .container && url.address == .loopbackV4)
        #expect(url.description == "docker:///var/run/docker.sock")
    }

    @Test func hosts() throws {
        #expect(try url("docker://Engine.Example:2380")?.engine == .tcp(host: "engine.example", port: 2380))
        #expect(try url("docker://[fd00::1]")?.description == "docker://[fd00::1]:2375")
        // Where the engine is, its machine's ports are.
        #expect(try url("docker://192.0.2.7/")?.address == IPAddress("192.0.2.7"))
    }

    @Test func options() throws {
        let url = try #require(
            try url("docker:///d.sock?zone=b&reach=host&address=192.0.2.1&network=front&node=n7"))
        #expect(url.reach == .host && url.network == "front" && url.node == "n7" && url.zone == "b")
        #expect(url.address == IPAddress("192.0.2.1"))
        #expect(url.description == "docker:///d.sock?address=192.0.2.1&network=front&node=n7&reach=host&zone=b")
    }

    @Test func overTLS() throws {
        let url = try #require(try url("dockers://engine.example?ca=/ca.pem&cert=/c.pem&key=/k.pem&node=n7"))
        #expect(url.engine == .tcp(host: "engine.example", port: 2376))
        #expect(url.tls?.authorities == "/ca.pem" && url.tls?.certificate == "/c.pem" && url.tls?.key == "/k.pem")
        #expect(url.description == "dockers://engine.example:2376?node=n7")
    }

    @Test(arguments: [
        "dockers:///d.sock", "docker://h?ca=/ca.pem", "docker:", "docker:/x", "docker://", "docker:///", "docker://a b",
        "docker://h:0", "docker://h:x",
        "docker:///s?x=1", "docker:///s?node", "docker:///s?node=a&node=b", "docker:///s?address=0.0.0.0",
        "docker:///s?reach=near", "docker:///s?zone=", "docker:////\(String(repeating: "x", count: 120))",
    ])
    func refused(text: String) { #expect(throws: RegistryURL.Problem.self) { try RegistryURL(text) } }
}
