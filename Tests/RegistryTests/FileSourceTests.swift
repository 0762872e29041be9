import Glibc
import MeshCore
import Reactor
import Registry
import Testing

/// A file in a folder of its own.
private final class TemporaryFile {
    let folder: String
    var path: String { "\(folder)/services.yaml" }

    init(_ text: String?) throws {
        var template = Array("/tmp/meshd-filesource-XXXXXX".utf8CString)
        folder = String(cString: try #require(mkdtemp(&template)))
        if let text { try replace(text) }
    }

    deinit {
        unlink(path)
        rmdir(folder)
    }

    /// As an editor does: written beside, renamed over.
    func replace(_ text: String) throws { try FileBytes.replace(path, Array(text.utf8)) }

    /// As a shell does: truncated and written.
    func overwrite(_ text: String) throws {
        let fd = open(path, O_WRONLY | O_TRUNC)
        try #require(fd >= 0)
        defer { close(fd) }
        #expect(write(fd, text, text.utf8.count) == text.utf8.count)
    }
}

/// Stops the loop when a test takes too long, so that a miss fails instead of hanging.
private final class Watchdog: Handler {
    let loop: EventLoop
    private(set) var hasBarked = false

    init(_ loop: EventLoop) {
        self.loop = loop
        super.init()
        loop.attach(self)
        loop.setDeadline(self, after: 20_000_000_000)
    }

    override func deadlineReached() {
        hasBarked = true
        loop.stop()
    }
}

/// What a source said, one line each; each line is followed by the next step of the script.
private final class Script {
    var lines: [String] = []
    var steps: [() throws -> Void] = []
    private let loop: EventLoop

    init(_ loop: EventLoop) { self.loop = loop }

    func said(_ line: String) {
        lines.append(line)
        guard !steps.isEmpty else { return loop.stop() }
        do {
            try steps.removeFirst()()
        } catch {
            Issue.record(error)
            loop.stop()
        }
    }

    var callbacks: FileSource.Callbacks {
        FileSource.Callbacks(
            event: { event in
                guard case .reset(let services, let instances) = event.change else { return }
                let names = services.map(\.name).joined(separator: ",")
                self.said("event \(event.revision) [\(names)] \(instances.count)")
            },
            problem: { self.said("problem \($0?.message.prefix(24) ?? "none")") },
            warning: { self.lines.append("warning \($0.key)") })
    }
}

@Suite struct FileSourceTests {
    private static let one = "services: {a: {x-mesh-instances: [10.0.0.1]}}\n"
    private static let two = "services: {a: {}, b: {ports: ['1-2:80']}}\n"

    @Test func changesProblemsAndMending() throws {
        let loop = try EventLoop()
        let watchdog = Watchdog(loop)
        let file = try TemporaryFile(Self.one)
        let script = Script(loop)
        script.steps = [
            {},
            { try file.overwrite("services: {a: [}") },
            { try file.replace(Self.two) },
            // Mending is told, then the change.
            {},
            { #expect(unlink(file.path) == 0) },
            { try file.replace(Self.two + "# the same\n") },
            // Back, with the content that is in force: no event. A last change shows that nothing came between.
            { try file.replace(Self.one) },
        ]
        let source = try FileSource(path: file.path, routingDomain: nil, on: loop, script.callbacks)
        #expect(source.name == "file:\(file.path)")
        #expect(script.lines == ["event 1 [a] 1"])
        try script.steps.removeFirst()()
        loop.run()
        source.stop()
        #expect(!watchdog.hasBarked)
        #expect(
            script.lines == [
                "event 1 [a] 1", "problem did not find expected no", "problem none", "warning services.b.ports.0",
                "event 2 [a,b] 0", "problem cannot read: No such fil", "problem none", "event 3 [a] 1",
            ])
    }

    @Test func aBrokenFileAtStartIsThrown() throws {
        let loop = try EventLoop()
        let file = try TemporaryFile("services: {a: {ports: [x]}}")
        let script = Script(loop)
        let broken = #expect(throws: CatalogueProblem.self) {
            try FileSource(path: file.path, routingDomain: nil, on: loop, script.callbacks)
        }
        #expect(broken?.description.hasPrefix("\(file.path):1:24: services.a.ports.0: 'x'") == true)
        let missing = #expect(throws: CatalogueProblem.self) {
            try FileSource(path: "\(file.folder)/none", routingDomain: nil, on: loop, script.callbacks)
        }
        #expect(missing?.description == "\(file.folder)/none: cannot read: No such file or directory")
        let noFolder = #expect(throws: CatalogueProblem.self) {
            try FileSource(path: "\(file.folder)/no/file", routingDomain: nil, on: loop, script.callbacks)
        }
        #expect(noFolder?.description == "\(file.folder)/no/file: cannot read: No such file or directory")
        #expect(script.lines.isEmpty)
        #expect(loop.handlerCount == 0)
    }
}
