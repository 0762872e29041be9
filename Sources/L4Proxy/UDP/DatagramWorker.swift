public import MeshCore
import NetAddress
public import Reactor

/// The UDP side of one worker: its listeners, and flows from clients to instances.
///
/// A flow is a client's address and the address it sent to. It keeps its instance until it has been silent for the idle
/// time, or until the instance is gone or unhealthy: then the client's next datagram begins another one. A drained
/// instance keeps its flows and gets no new ones.
public final class DatagramWorker: Handler {
    let loop: EventLoop
    let balancer: Balancer
    let batch = DatagramBatch()
    let dialed: (_ endpoint: Endpoint, _ failure: SystemError?) -> Void
    var counters = DatagramCounters()
    let options: DatagramOptions
    private var listeners: [SocketAddress: DatagramListener] = [:]
    private var plans: [ListenerPlan] = []
    private var keepers: PagedTable<UInt32>?
    private var ages = FlowAges()
    /// By place in `ages`.
    private var flows: [Flow?] = []
    private var isTimed = false
    private var isDraining = false
    private var whenEmpty: (() -> Void)?

    /// - Parameter dialed: told of ports that were unreachable, and of the first answer of each flow.
    public init(
        loop: EventLoop, balancer: Balancer, options: DatagramOptions,
        dialed: @escaping (_ endpoint: Endpoint, _ failure: SystemError?) -> Void
    ) {
        self.loop = loop
        self.balancer = balancer
        self.options = options
        self.dialed = dialed
        super.init()
        loop.attach(self)
    }

    public func counted() -> DatagramCounters {
        var copy = counters
        copy.flowsOpen = UInt64(ages.count)
        return copy
    }

    // MARK: - Snapshots

    /// Keeps the listeners in step with the plans, moves flows whose instance or port has left, and returns what could
    /// not be opened; that is tried again by the next call.
    public func install(_ wanted: [ListenerPlan]) -> [(ListenerPlan, SystemError)] {
        let failures = wanted == plans || isDraining ? [] : open(wanted)
        let present = balancer.snapshot.flowKeepers
        guard present !== keepers || wanted != plans else { return failures }
        keepers = present
        plans = failures.isEmpty ? wanted : []
        for listener in listeners.values {
            for flow in listener.strays() {
                counters.flowsMoved += 1
                end(flow)
            }
        }
        return failures
    }

    private func open(_ wanted: [ListenerPlan]) -> [(ListenerPlan, SystemError)] {
        var failures: [(ListenerPlan, SystemError)] = []
        let addresses = Set(wanted.map(\.address))
        for (address, listener) in listeners where !addresses.contains(address) {
            listener.close()
            listeners[address] = nil
        }
        for plan in wanted {
            if let present = listeners[plan.address] {
                present.binding.serve(plan.role)
                continue
            }
            do throws(SystemError) {
                listeners[plan.address] = try DatagramListener(plan, self)
            } catch {
                failures.append((plan, error))
            }
        }
        return failures
    }

    // MARK: - Flows

    /// A flow to an instance not among `tried`; `nil`: there is no room, no instance, or no socket.
    func begin(_ listener: DatagramListener, _ path: DatagramPath, _ tried: TriedEndpoints, datagrams: Int) -> Flow? {
        guard !isDraining, makeRoom() else {
            counters.droppedAtLimit += UInt64(datagrams)
            return nil
        }
        let pool = listener.binding.pool
        guard let endpoint = balancer.pick(pool, tried: tried, client: path.peer.ip) else {
            counters.droppedWithoutInstance += UInt64(datagrams)
            return nil
        }
        do {
            let socket = try Socket.datagram(connectedTo: endpoint.address)
            let age = ages.insert(now: loop.nowNanoseconds)
            let flow = Flow(listener, path, pool, endpoint, socket, age: age)
            while flows.count <= Int(age) { flows.append(nil) }
            flows[Int(age)] = flow
            balancer.began(endpoint, .flows)
            counters.flowsBegun += 1
            do {
                try loop.attach(flow, socket)
            } catch {
                end(flow)
                throw error
            }
            arm()
            return flow
        } catch {
            counters.droppedBySocket += UInt64(datagrams)
            return nil
        }
    }

    private func makeRoom() -> Bool {
        switch ages.room(limit: options.flowLimit, silence: options.evictableAfter, now: loop.nowNanoseconds) {
        case .free: return true
        case .none: return false
        case .evict(let slot):
            counters.flowsEvicted += 1
            if let flow = flows[Int(slot)] { end(flow) }
            return true
        }
    }

    func touch(_ flow: Flow) { ages.touch(flow.age, now: loop.nowNanoseconds) }

    func received(_ range: Range<Int>) {
        counters.datagramsFromClients += UInt64(range.count)
        for index in range { counters.bytesFromClients += UInt64(batch.length(index)) }
    }

    /// The instance cannot be reached: its health hears of it, and the client's next datagram begins another flow.
    func failed(_ flow: Flow, _ error: SystemError) {
        counters.flowFailures += 1
        if !error.isShortage { dialed(flow.endpoint, error) }
        end(flow)
    }

    func end(_ flow: Flow) {
        guard flows[Int(flow.age)] === flow else { return }
        flows[Int(flow.age)] = nil
        ages.remove(flow.age)
        balancer.ended(flow.endpoint, .flows)
        flow.listener.forget(flow)
        flow.close()
        if ages.count == 0, let done = whenEmpty {
            whenEmpty = nil
            done()
        }
    }

    // MARK: - Time

    private var idleTimeout: UInt64 { isDraining ? min(options.idleTimeout, options.drainIdle) : options.idleTimeout }

    private func arm() {
        guard !isTimed, let oldest = ages.oldest else { return }
        isTimed = true
        loop.setDeadline(self, at: oldest.last.addingReportingOverflow(idleTimeout).partialValue)
    }

    /// Flows that end in one turn: of a burst all have their time over at once, and each costs system calls.
    private static let endsPerTurn = 512

    override public func deadlineReached() {
        isTimed = false
        for _ in 0..<Self.endsPerTurn {
            guard let oldest = ages.oldest, loop.nowNanoseconds >= oldest.last,
                loop.nowNanoseconds - oldest.last >= idleTimeout, let flow = flows[Int(oldest.slot)]
            else { break }
            end(flow)
        }
        // What is left has its time over already: it comes with the next tick.
        arm()
    }

    // MARK: - Ending

    /// Begins no more flows; calls `done` when the last one has been silent for a second or has ended.
    public func drain(done: @escaping () -> Void) {
        isDraining = true
        if ages.count == 0 { return done() }
        whenEmpty = done
        isTimed = false
        arm()
    }

    /// Ends every listener and flow at once.
    public func closeAll() {
        for listener in listeners.values { listener.close() }
        listeners = [:]
    }
}
