import Reactor
import Registry

/// `meshd release SERVICE`: frees the VIP and the port numbers that etcd keeps for a service that will not come back.
enum ReleaseCommand {
    private static let usage = """
        usage: meshd release SERVICE --registry etcd://HOST:2379/PREFIX
               meshd release --list --registry etcd://HOST:2379/PREFIX
        """

    static func run(_ arguments: [String]) -> Int32 {
        var arguments = CommandArguments(arguments)
        let lists = arguments.take("--list")
        let registry = arguments.takeValue("--registry")
        func complain(_ text: String) -> Int32 { Commands.complain("meshd release: \(text)\n\(usage)") }
        if let problem = arguments.problem { return complain(problem) }
        guard let registry else { return complain("--registry is needed") }
        if let flag = arguments.rest.first(where: { $0.hasPrefix("-") }) { return complain("unknown flag \(flag)") }
        guard arguments.rest.count == (lists ? 0 : 1) else { return complain("one SERVICE, or --list, is needed") }
        do throws(RegistryURL.Problem) {
            guard case .etcd(let url) = try RegistryURL(registry) else {
                return complain("--registry: only etcd:// and etcds:// keep addresses and numbers")
            }
            return ask(url, lists ? nil : arguments.rest[0])
        } catch {
            return complain(error.message)
        }
    }

    /// - Parameter service: `nil`: those that could be released are listed.
    private static func ask(_ url: EtcdURL, _ service: String?) -> Int32 {
        let loop: EventLoop
        do {
            loop = try EventLoop()
        } catch {
            return Commands.fail("meshd release: \(error)")
        }
        var status: Int32 = 1
        let releaser = EtcdReleaser(url, seed: WallClock.nowNanoseconds(), on: loop)
        if let service {
            releaser.release(service) { outcome in
                status = tell(service, outcome)
                loop.stop()
            }
        } else {
            releaser.unused { result in
                status = list(result)
                loop.stop()
            }
        }
        loop.run()
        return status
    }

    private static func tell(_ service: String, _ outcome: EtcdReleaser.Outcome) -> Int32 {
        switch outcome {
        case .released(let texts):
            Process.write(texts.map { "\(service): released \($0)\n" }.joined())
            return 0
        case .nothing: return Commands.complain("meshd release: nothing is kept for '\(service)'")
        case .refused(let reason): return Commands.fail("meshd release: '\(service)' keeps its own: \(reason)")
        case .failed(let reason): return Commands.fail("meshd release: \(reason)")
        }
    }

    private static func list(
        _ result: Result<[(service: String, kept: [String])], EtcdReleaser.Refusal>
    ) -> Int32 {
        switch result {
        case .failure(let refusal): return Commands.fail("meshd release: \(refusal)")
        case .success(let services):
            Process.write(services.map { "\($0.service)  \($0.kept.joined(separator: "  "))\n" }.joined())
            return 0
        }
    }
}
