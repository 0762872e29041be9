import Glibc
import MeshCore
import Reactor
import Registry
import Testing

/// A whole catalogue around one service named `web`; `body` is its YAML, not indented.
func catalogue(_ body: String, domain: String? = nil) throws(CatalogueProblem) -> ComposeCatalogue {
    let indented = body.split(separator: "\n").map { "    \($0)\n" }.joined()
    return try parse("services:\n  web:\n\(indented)", domain: domain)
}

func parse(_ text: String, domain: String? = nil) throws(CatalogueProblem) -> ComposeCatalogue {
    try ComposeCatalogue.parse(Array(text.utf8), file: "f.yaml", routingDomain: domain)
}

/// The problem that stops the parse, or `nil`.
func problem(_ body: String, domain: String? = nil) -> CatalogueProblem? {
    do throws(CatalogueProblem) {
        _ = try catalogue(body, domain: domain)
        return nil
    } catch {
        return error
    }
}

func service(_ body: String, domain: String? = nil) throws -> ServiceSpec {
    try #require(try catalogue(body, domain: domain).services.first)
}

/// The routes of one label for container port 80, as text.
func routes(_ value: String, domain: String? = nil) throws -> [String] {
    try service("labels: {\"aliyun.routing.port_80\": \"\(value)\"}", domain: domain).routes.map {
        "\($0.scheme.rawValue)://\($0.host)\($0.path)"
    }
}

let repository: String = {
    let parts = #filePath.split(separator: "/")
    return "/" + parts.dropLast(3).joined(separator: "/")
}()

func fileBytes(_ path: String) throws -> [UInt8] { try FileBytes.read("\(repository)/\(path)", limit: 1 << 24) }
