import HTTPClient
import NetAddress
import Reactor

/// Tries one thing after another and says what came of each.
final class DemoTrial {
    /// `nil`: it worked.
    typealias Done = (_ fault: String?) -> Void

    private let loop: EventLoop
    private let finished: (Bool) -> Void
    private var steps: [(name: String, act: (@escaping Done) -> Void)] = []
    private var next = 0
    private var isGood = true

    init(on loop: EventLoop, finished: @escaping (Bool) -> Void) {
        self.loop = loop
        self.finished = finished
    }

    func step(_ name: String, _ act: @escaping (@escaping Done) -> Void) { steps.append((name, act)) }

    func get(
        _ name: String, _ address: SocketAddress, _ path: String, host: String, status: Int = 200, expect: String
    ) {
        step("\(name): http://\(address)\(path), Host \(host)") { [loop] done in
            let request = FetchRequest("GET", path, to: .tcp(address), host: host, timeoutNanoseconds: 5_000_000_000)
            HTTPFetch.start(request, on: loop) { result in
                guard case .response(let got, let body) = result else { return done("\(result)") }
                let text = String(decoding: body, as: UTF8.self)
                done(got == status && text.contains(expect) ? nil : "\(got) \(text), not \(status) \(expect)")
            }
        }
    }

    func lookUp(_ name: String, _ alias: String, _ server: SocketAddress, expect: IPAddress) {
        step("\(name): \(alias)") { [loop] done in
            NameLookup.start(alias, at: server, on: loop) { address in
                done(address == expect ? nil : "\(address.map(\.description) ?? "no answer"), not \(expect)")
            }
        }
    }

    func explain(_ name: String, _ ask: @escaping (@escaping (String) -> Void) -> Void) {
        step(name) { done in ask { text in done(text.contains("service   payment") ? nil : text) } }
    }

    func run() {
        guard next < steps.count else { return finished(isGood) }
        let step = steps[next]
        next += 1
        step.act { [self] fault in
            Process.write(fault.map { "FAILED  \(step.name): \($0)\n" } ?? "ok      \(step.name)\n")
            if fault != nil { isGood = false }
            run()
        }
    }
}

extension String {
    func contains(_ other: String) -> Bool { range(of: other) != nil }
}
