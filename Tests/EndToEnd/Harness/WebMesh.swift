/// The commonest mesh: one service `web` for `web.example`.
enum Web {
    static let host = "web.example"

    static func with(
        _ instances: [HTTPInstance], _ flags: [String] = [], workers: Int = 2, _ body: (MeshProcess) throws -> Void
    ) throws {
        try withMesh(Catalogue([.web("web", host, instances)]), .init(flags, workers: workers), body)
    }

    /// One instance of this behaviour.
    static func with(
        _ behaviour: @escaping HTTPInstance.Behaviour, _ flags: [String] = [],
        _ body: (MeshProcess, HTTPInstance) throws -> Void
    ) throws {
        let instance = try HTTPInstance("web", behaviour)
        try with([instance], flags) { try body($0, instance) }
    }
}
