import MeshCore
import NetAddress
import Reactor

/// One worker's socket on a UDP address, and the flows that come in by it.
final class DatagramListener: Handler {
    /// Batches of one turn at the most.
    private static let batchesPerTurn = 16

    unowned let worker: DatagramWorker
    let binding: PortBinding
    private var socket: Socket
    private var flows: [DatagramPath: Flow] = [:]

    init(_ plan: ListenerPlan, _ worker: DatagramWorker) throws(SystemError) {
        self.worker = worker
        binding = PortBinding(plan.role, port: plan.address.port)
        socket = try Socket.datagramService(
            plan.address, shared: true, isVirtual: worker.options.vipRange?.contains(plan.address.ip) ?? false)
        super.init()
        do {
            try worker.loop.attach(self, socket)
        } catch {
            socket.close()
            throw error
        }
    }

    override func ready(_ readiness: Readiness) {
        if !readiness.isDisjoint(with: [.readable, .error]) { receive() }
    }

    override func resume() { receive() }

    // MARK: - From clients

    private func receive() {
        var failures = 0
        for _ in 0..<Self.batchesPerTurn {
            guard socket.isOpen else { return }
            switch worker.batch.receive(from: socket) {
            case .count(let count):
                forward(count)
                if count < DatagramBatch.capacity { return }
            case .wouldBlock: return
            // Maybe of an earlier answer: the next call finds what has come meanwhile. What fails for good is left to
            // the next arrival.
            case .failed:
                failures += 1
                if failures > 1 { return }
            }
        }
        worker.loop.requeue(self)
    }

    /// Hands each run of datagrams of one flow on in one call.
    private func forward(_ count: Int) {
        var start = 0
        while start < count {
            guard let path = worker.batch.path(start) else {
                start += 1
                continue
            }
            var end = start + 1
            while end < count, worker.batch.path(end) == path { end += 1 }
            worker.received(start..<end)
            forward(start..<end, path)
            start = end
        }
    }

    private func forward(_ range: Range<Int>, _ path: DatagramPath) {
        guard let flow = flows[path] ?? begin(path, range, TriedEndpoints()) else { return }
        worker.touch(flow)
        guard let failure = send(range, on: flow) else { return }
        // The port was unreachable for an earlier datagram: these have not gone out and may go elsewhere.
        var tried = TriedEndpoints()
        tried.insert(flow.endpoint.id)
        worker.failed(flow, failure)
        guard let other = begin(path, range, tried) else { return }
        if let failure = send(range, on: other) { worker.failed(other, failure) }
    }

    /// Sends what the socket takes and drops the rest; an error where it took none and the flow is broken.
    private func send(_ range: Range<Int>, on flow: Flow) -> SystemError? {
        switch worker.batch.send(range, through: flow.socket) {
        case .count(let sent): worker.counters.droppedBySocket += UInt64(range.count - sent)
        case .wouldBlock: worker.counters.droppedBySocket += UInt64(range.count)
        case .failed(let code):
            let error = SystemError("send", code)
            // Too long for the way there, or want of memory: says nothing of the instance.
            guard error.isUnreachable else {
                worker.counters.droppedBySocket += UInt64(range.count)
                return nil
            }
            return error
        }
        return nil
    }

    private func begin(_ path: DatagramPath, _ range: Range<Int>, _ tried: TriedEndpoints) -> Flow? {
        let flow = worker.begin(self, path, tried, datagrams: range.count)
        flows[path] = flow
        return flow
    }

    // MARK: - To clients

    /// Sends what the batch holds to the client, from the address that it asked.
    func reply(_ count: Int, along path: DatagramPath) {
        let batch = worker.batch
        var sent = 0
        if case .count(let taken) = batch.send(0..<count, through: socket, along: path) { sent = taken }
        worker.counters.datagramsToClients += UInt64(sent)
        for index in 0..<sent { worker.counters.bytesToClients += UInt64(batch.length(index)) }
        worker.counters.droppedBySocket += UInt64(count - sent)
    }

    // MARK: - End

    func forget(_ flow: Flow) {
        if flows[flow.path] === flow { flows[flow.path] = nil }
    }

    /// Flows that can stay neither with their instance nor with this port.
    func strays() -> [Flow] {
        flows.values.filter { $0.pool != binding.pool || !worker.balancer.mayKeepFlows($0.endpoint) }
    }

    /// Ends the listener and every flow.
    func close() {
        binding.retire()
        for flow in flows.values { worker.end(flow) }
        worker.loop.detach(self)
        socket.close()
        socket = .none
    }
}
