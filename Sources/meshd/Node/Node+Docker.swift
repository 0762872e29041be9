import Configuration
import HealthProber
import MeshCore
import Reactor
import Registry

extension Node {
    /// Sources that see instances themselves.
    static func witnesses(_ urls: [RegistryURL]) -> Set<String> {
        Set(urls.filter { if case .docker = $0 { true } else { false } }.map(\.description))
    }

    /// Begins to watch; the engine may be away when meshd starts.
    func openDocker(_ url: DockerURL, _ index: Int) {
        let source = DockerSource(
            url,
            DockerSource.Options(
                routingDomain: settings.routingDomain,
                holdNanoseconds: UInt64(settings.registryEmptyHoldSeconds * 1e9), seed: WallClock.nowNanoseconds(),
                node: settings.node, zone: settings.zone),
            on: loop,
            DockerSource.Callbacks(
                event: { [unowned self] in receivedFromEngine($0, from: index) },
                problem: { [unowned self] in problem($0, with: index) },
                warning: { Log.warning("catalogue", ["warning": $0.description]) },
                heard: { [unowned self] in heard(index) }))
        sources.append(source)
        engines.append(source)
        sourceStatus[index].docker = source
        if let image = serveKept(index) {
            source.restore(services: image.services, instances: image.instances)
            let age = sourceStatus[index].ageOnArrivalNanoseconds / 1_000_000_000
            Log.info(
                "the catalogue kept on disk is in force until the engine is read",
                ["registry": source.name, "age_seconds": "\(age)"])
        }
        if engines.count == 1 {
            control.prober.commands = commandProbes()
            control.prober.age = { [unowned self] key in engines.lazy.compactMap { $0.age(key) }.first }
        }
        source.start()
    }

    private func receivedFromEngine(_ event: SourceEvent, from index: Int) {
        received(event, from: index)
        // What is the same as what was kept is no news to the catalogue, but commands can be run in it now.
        if case .reset = event.change { control.commandsChanged() }
        agent?.enginesChanged()
    }

    /// What announces this node's instances; `nil` where the settings ask for none.
    func makeAgent(seed: UInt64) throws -> NodeAgent? {
        guard let text = settings.announce else { return nil }
        func problem(_ message: String) -> SettingsProblem { SettingsProblem(place: "--announce", message: message) }
        let url: EtcdURL
        do throws(RegistryURL.Problem) {
            guard case .etcd(let etcd) = try RegistryURL(text) else {
                throw RegistryURL.Problem(message: "only etcd:// takes announcements")
            }
            url = etcd
        } catch {
            throw problem(error.message)
        }
        guard !engines.isEmpty else {
            throw problem("there is no docker:// registry whose containers could be announced")
        }
        guard InstanceAnnouncement.isName(settings.node) else {
            throw problem("the node's name '\(settings.node)' is not 1 to 128 visible ASCII characters; see --node")
        }
        if !sourceStatus.contains(where: { $0.name == url.description }) {
            Log.warning("--announce names no --registry: this node does not see what others announce there")
        }
        let agent = NodeAgent(
            url, ttlSeconds: settings.announceTTLSeconds, seed: seed, on: loop,
            engines: { [unowned self] in engines },
            status: { [unowned self] key in
                let status = control.prober.status(key)
                return (status.state, status.cause)
            },
            before: { [unowned self] key in
                control.catalogue.content(of: url.description).map { .heard($0.instance(key)?.verdict) } ?? .unheard
            })
        control.dirtied = { [unowned agent] in agent.servicesChanged($0) }
        return agent
    }

    private func commandProbes() -> CommandProbes {
        CommandProbes(
            canRun: { [unowned self] key in engines.contains { $0.has(key) } },
            run: { [unowned self] words, key, timeout, done in
                guard let engine = engines.first(where: { $0.has(key) }) ?? engines.first else { return {} }
                let run = engine.run(words, in: key, timeoutNanoseconds: timeout, done)
                return { run.cancel() }
            })
    }
}
