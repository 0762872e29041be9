import AliasDNS
import Configuration
import HealthProber
import L4Proxy
import L7Router
import MeshCore
import NetAddress
import Reactor
import Registry

/// A running meshd: the control loop with everything on it, and the worker threads. The one place where parts are
/// joined.
final class Node {
    let settings: Settings
    let loop: EventLoop
    let control: ControlPlane
    private let reports: Reports
    private let inboxes: [Mailbox<WorkerMessage>]
    private var controlInbox: Mailbox<ControlMessage>?
    var sources: [any CatalogueSource] = []
    /// The registry that the nodes agree on VIPs in: the first that is etcd.
    var vipRegistry: EtcdSource?
    private(set) var drains: DrainKeeper!
    /// Says in the registry that this node runs.
    var presence: EtcdAnnouncer?
    /// Why it cannot say so.
    var presenceProblem: String?
    /// Names this run of this node.
    let run: String
    /// Called when the registry knows that this node ends.
    var leave: (() -> Void)?
    var sourceStatus: [SourceStatus] = []
    var engines: [DockerSource] = []
    /// Announces what they run; `nil`: nobody does.
    private(set) var agent: NodeAgent?
    private var dns: AliasDNSServer?
    private(set) var admin: AdminServer?
    private var state: StateDirectory?
    private(set) var certificates: CertificateKeeper?
    private let instanceTLS: InstanceTLSKeeper
    private(set) var kept: KeptCatalogues?
    private var logWriter: LogWriter?
    private let started: UInt64
    private var shutdown: Shutdown?
    var isStopping: Bool { shutdown != nil }
    /// Called when every worker has ended.
    var stopped: () -> Void = {}
    private let passed: PassedSockets
    private var route: VIPRoute?
    var manager: ServiceManager!
    /// Whether the service manager has heard that the node is ready.
    var isManagerTold = false
    /// The generation that ends the reload under way.
    var reloadEnd: UInt64?

    /// Reads the catalogues and opens the node's own addresses; serving begins with `start`.
    init(_ given: Settings, passed: PassedSockets = .none, on loop: EventLoop) throws {
        settings = passed.replacing(in: given)
        self.passed = passed
        self.loop = loop
        started = loop.nowNanoseconds
        let urls = try settings.registries.map { try RegistryURL($0) }
        inboxes = try (0..<settings.workers).map { _ in try Mailbox<WorkerMessage> { $0.subject } }
        reports = Reports(loop, inboxes)
        instanceTLS = InstanceTLSKeeper(on: loop, folder: settings.tls.certificates, workers: inboxes)
        state = try settings.stateDirectory.map { path in
            try Self.naming("--state-dir \(path)") { () throws(SystemError) in try StateDirectory(path) }
        }
        let seed = WallClock.nowNanoseconds()
        var system = SystemRandomNumberGenerator()
        run = String(system.next() as UInt64, radix: 16)
        control = ControlPlane(
            loop: loop, sources: urls.map(\.description), witnesses: Self.witnesses(urls),
            options: Self.options(settings, passed), workers: inboxes,
            vips: state?.load() ?? [:], weights: state?.loadWeights() ?? [:],
            ports: state?.loadPorts() ?? [:], seed: seed)
        control.listensAlready(on: passed.web.keys)
        try requireOwnListeners()
        try openTLS()
        logWriter = try makeLogWriter()
        drains = DrainKeeper(control, reports, workerCount: inboxes.count)
        drains.changed = { [unowned self] in present() }
        try openAdmin()
        kept = try keptCatalogues()
        for url in urls { try open(url) }
        agent = try makeAgent(seed: seed)
        if let address = settings.dns {
            dns = try Self.naming("--dns \(address)") { () throws(SystemError) in
                try AliasDNSServer(
                    on: loop, listen: address, zone: Zone([]), upstreams: settings.dnsUpstreams,
                    ttlSeconds: UInt32(clamping: settings.dnsTTLSeconds), seed: seed)
            }
        }
        control.compiled = { [unowned self] in compiled($0) }
        manager = ServiceManager(loop, inboxes) { [unowned self] in statusText }
        control.becameReady = { [unowned self] in becameReady() }
        control.installedEverywhere = { [unowned self] in installedEverywhere($0) }
    }

    private func compiled(_ snapshot: Snapshot) {
        drains.compiled()
        let compiler = control.compiler
        state?.save(
            compiler.assignedVIPs, weights: compiler.shares.inForce, ports: compiler.assignedPorts)
        vipRegistry?.want(vips: compiler.wantedVIPs)
        vipRegistry?.want(ports: compiler.wantedPorts, reserved: compiler.reservedPorts)
        if let dns { update(dns, serial: UInt32(truncatingIfNeeded: snapshot.generation)) }
    }

    private func update(_ dns: AliasDNSServer, serial: UInt32) {
        switch control.compiler.zoneChange {
        case .nothing: return
        case .addresses(let entries):
            if dns.replace(entries, serial: serial) { return }
        case .all: break
        }
        let zone = Zone(control.compiler.zone, serial: serial)
        for name in zone.rejectedNames { Log.warning("not a DNS name, not served", ["name": name]) }
        dns.update(zone: zone)
    }

    private static func options(_ settings: Settings, _ passed: PassedSockets) -> SnapshotCompiler.Options {
        SnapshotCompiler.Options(
            vipRange: settings.vipRange, publishAddress: settings.publishAddress,
            servesLocalNames: settings.servesLocalNames,
            fixedListeners: webListeners(settings) + passed.furtherListeners,
            locality: Locality(node: settings.node, zone: settings.zone),
            sessionKey: SessionKey(secret: settings.sessionSecret ?? ""))
    }

    private static func webListeners(_ settings: Settings) -> [ListenerPlan] {
        let plain = settings.http.map { ListenerPlan(address: $0, role: .web, owner: "--http") }
        let secure = settings.tls.https.map { ListenerPlan(address: $0, role: .secureWeb, owner: "--https") }
        return [plain, secure].compactMap(\.self)
    }

    private func openTLS() throws {
        control.prober.clientContext = { [instanceTLS] in instanceTLS.context($0) }
        control.touched = { [unowned self] in
            instanceTLS.update($0, control.catalogue)
            certificates?.update($0, control.catalogue)
        }
        control.certificateProblems = { [unowned self] in instanceTLS.problems + (certificates?.problems ?? []) }
        guard settings.tls.https != nil else { return }
        certificates = try CertificateKeeper(try certificateSetup(), on: loop, workers: inboxes)
    }

    private func requireOwnListeners() throws {
        let web = [(settings.http, "--http"), (settings.tls.https, "--https")]
        for case (let address?, let flag) in web where passed.web[address] == nil { try Self.require(address, flag) }
    }

    /// An address of the node's own settings must be free; services' addresses need not be.
    private static func require(_ address: SocketAddress, _ flag: String) throws {
        try naming("\(flag) \(address)") { () throws(SystemError) in try Socket.checkFree(address) }
    }

    static func naming<R>(_ what: String, _ body: () throws(SystemError) -> R) throws -> R {
        do { return try body() } catch { throw StartFailure(message: "\(what): \(error)") }
    }

    // MARK: - Sources

    private func open(_ url: RegistryURL) throws {
        let index = sourceStatus.count
        sourceStatus.append(SourceStatus(name: url.description))
        switch url {
        case .file(let path):
            sources.append(
                try FileSource(
                    path: path, routingDomain: settings.routingDomain, on: loop,
                    FileSource.Callbacks(
                        event: { [unowned self] in received($0, from: index) },
                        problem: { [unowned self] in problem($0, with: index) },
                        warning: { Log.warning("catalogue", ["warning": $0.description]) }),
                    mayBegin: { serveKept(index, because: $0) }))
        case .etcd(let url): openEtcd(url, index)
        case .docker(let url): openDocker(url, index)
        }
    }

    func received(_ event: SourceEvent, from index: Int) {
        heard(index)
        sourceStatus[index].events += 1
        control.apply(event)
        control.decided(event.source)
        kept?.changed(event.source)
    }

    func problem(_ problem: CatalogueProblem?, with index: Int) {
        sourceStatus[index].problem = problem?.description
        if let problem {
            sourceStatus[index].failures += 1
            Log.error("catalogue broken, the last good one stays in force", ["cause": problem.description])
            control.decided(sourceStatus[index].name)
        } else {
            sourceStatus[index].lastEventNanoseconds = loop.nowNanoseconds
            Log.info("catalogue whole again", ["registry": sourceStatus[index].name])
        }
    }

    // MARK: - Admin

    private func openedAdmin() throws -> Socket? {
        guard let endpoint = settings.admin else { return nil }
        return try Self.naming("--admin \(endpoint)") { () throws(SystemError) in
            switch endpoint {
            case .tcp(let address): try Socket.listen(address, shared: false)
            case .unix(let path): try Socket.listen(unixPath: path)
            }
        }
    }

    private func openAdmin() throws {
        guard let socket = try passed.admin ?? openedAdmin() else { return }
        admin = try AdminServer(
            socket, on: loop, isSharedSocket: passed.admin != nil,
            isReady: { [unowned self] in control.isReady && shutdown == nil },
            drains: DrainDesk(node: settings.node, control, drains) { [unowned self] in vipRegistry },
            gather: { [unowned self] in gather($0) })
    }

    /// Takes the node's state once every worker has reported.
    func gather(_ done: @escaping (NodeState) -> Void) {
        reports.gather { [unowned self] reports in
            done(
                NodeState(
                    node: settings.node, nowNanoseconds: loop.nowNanoseconds,
                    uptimeNanoseconds: loop.nowNanoseconds &- started, control: control, sources: sourceStatus,
                    keepFailures: kept?.failures ?? 0, reports: reports, dns: dns?.counters,
                    accessLog: logWriter?.counts, agent: agent,
                    messagesDropped: messagesDropped,
                    unknownHostStatus: settings.unknownHostStatus, certificates: certificates?.expiries ?? [],
                    drains: drains.standings, presenceProblem: presenceProblem))
        }
    }

    private var messagesDropped: UInt64 {
        inboxes.reduce(controlInbox?.dropped ?? 0) { $0 &+ $1.dropped }
    }

    // MARK: - Workers

    /// Starts the workers, hands them the first snapshot, and calls `stopped` when they have all ended.
    func start() throws {
        route = try VIPRoute(settings.vipRange)
        let mailbox = try Mailbox<ControlMessage> { $0.subject }
        controlInbox = mailbox
        try mailbox.open(on: loop) { [unowned self] in receive($0) }
        let descriptors = DescriptorLimit.raise()
        let seed = WallClock.nowNanoseconds()
        try logWriter?.start()
        var threads: [Thread] = []
        for (index, inbox) in inboxes.enumerated() {
            let plan = WorkerPlan(
                index: index, router: routerOptions(), relay: relayOptions(), datagrams: datagramOptions(),
                tls: tlsOptions(),
                trust: proxyTrust(),
                accessLog: accessLogPlan(index),
                bufferLimitBytes: settings.bufferLimitMiB << 20, descriptorShare: share(descriptors),
                connectionLimit: connectionLimit, vipRange: settings.vipRange, passedSockets: passed.web,
                seed: seed &+ UInt64(index) &* 0x9e37_79b9_7f4a_7c15, random: Self.randomBits(), inbox: inbox,
                control: mailbox)
            threads.append(try Thread(plan))
        }
        shutdownThreads = threads
        control.compile()
        manager.feedWatchdog()
    }

    /// Seeded by the system, which knows how to be different on every node.
    private static func randomBits() -> RandomBits {
        var system = SystemRandomNumberGenerator()
        return RandomBits(seed: (system.next(), system.next(), system.next(), system.next()))
    }

    private func accessLogPlan(_ worker: Int) -> AccessLogPlan? {
        logWriter.map { AccessLogPlan(format: accessLogFormat(), queue: $0.queues[worker], writer: $0) }
    }

    /// Opens the access log anew: a rotation has renamed the file.
    func reopenLogs() { logWriter?.reopen() }

    private var shutdownThreads: [Thread] = []

    /// Descriptors one worker may use before it stops accepting: its part of the limit, less what control and dials
    /// need.
    private func share(_ descriptors: Int) -> Int {
        let usable = max(descriptors - 64 - settings.workers * 8, 16)
        return max(usable / settings.workers * 15 / 16, 16)
    }

    /// Client connections of one worker.
    private var connectionLimit: Int {
        settings.maxConnections > 0 ? max(1, settings.maxConnections / settings.workers) : .max
    }

    private func receive(_ message: ControlMessage) {
        switch message {
        case .installed(let worker, let generation, let failures): control.workerInstalled(worker, generation, failures)
        case .report(let report): reports.received(report)
        case .signOfLife(let worker, let round): manager.signOfLife(worker: worker, round: round)
        case .dialFailed(let id, let cause): control.dialFailed(id, cause)
        case .dialSucceeded(let id): control.dialSucceeded(id)
        case .acceptPaused(let worker, let cause): control.acceptPaused(worker, cause)
        case .acceptResumed(let worker): control.acceptResumed(worker)
        case .steppedAside(let worker):
            for (index, inbox) in inboxes.enumerated() where index != worker { inbox.post(.lookAtPassedSockets) }
        case .drained: shutdown?.drained()
        }
    }

    // MARK: - End

    /// Ends in order: no new connections, what is in flight may finish within the grace period, then everything closes.
    ///
    /// A second call does not wait for what is in flight.
    func stop() {
        if let shutdown { return shutdown.hurry() }
        Log.info("stopping", ["grace_seconds": "\(settings.graceSeconds)"])
        // etcd goes on: until the end other nodes' drain orders wait for this one's word.
        for source in sources where !(source is EtcdSource) { source.stop() }
        let end = Shutdown(loop, waitingFor: inboxes.count) { [unowned self] in finish($0) }
        shutdown = end
        manager.stopping()
        end.begin(graceNanoseconds: UInt64(settings.graceSeconds * 1e9))
        for inbox in inboxes { inbox.post(.drain) }
        agent?.withdraw()
    }

    private func finish(_ isDrained: Bool) {
        if let agent, !agent.isOver {
            agent.whenOver = { [unowned self] in finish(isDrained) }
            return
        }
        manager.endWatch()
        for source in sources where source is EtcdSource { source.stop() }
        for inbox in inboxes { inbox.post(.stop) }
        for thread in shutdownThreads { thread.join() }
        shutdownThreads = []
        leaveRegistry { [unowned self] in close(isDrained) }
    }

    private func close(_ isDrained: Bool) {
        logWriter?.stop()
        route?.remove()
        kept?.finish()
        dns?.close()
        certificates?.stop()
        instanceTLS.stop()
        admin?.close()
        if passed.admin == nil, case .unix(let path)? = settings.admin { FileBytes.remove(path) }
        Log.info("stopped", ["drained": "\(isDrained)"])
        stopped()
    }
}

/// A worker's thread, joined once.
private final class Thread {
    private var handle: WorkerThread?

    init(_ plan: WorkerPlan) throws(SystemError) {
        handle = try WorkerThread(name: "meshd-\(plan.index)") {
            do throws(SystemError) {
                try Worker(plan).run()
            } catch {
                Log.error("worker could not start", ["worker": "\(plan.index)", "cause": "\(error)"])
                Process.abort()
            }
        }
    }

    func join() {
        handle.take()?.join()
    }
}

/// Waits for all workers to drain, at most for the grace period.
private final class Shutdown: Handler {
    private let loop: EventLoop
    private var waiting: Int
    private var isOver = false
    private let done: (_ isDrained: Bool) -> Void

    init(_ loop: EventLoop, waitingFor workers: Int, done: @escaping (_ isDrained: Bool) -> Void) {
        self.loop = loop
        waiting = workers
        self.done = done
    }

    func begin(graceNanoseconds: UInt64) {
        loop.attach(self)
        loop.setDeadline(self, after: graceNanoseconds)
    }

    func drained() {
        waiting -= 1
        if waiting == 0 { end(true) }
    }

    func hurry() { end(false) }

    override func deadlineReached() { end(false) }

    private func end(_ isDrained: Bool) {
        guard !isOver else { return }
        isOver = true
        loop.detach(self)
        done(isDrained)
    }
}

/// Why a node could not start, in one line.
struct StartFailure: Error, CustomStringConvertible {
    let message: String
    var description: String { message }
}
