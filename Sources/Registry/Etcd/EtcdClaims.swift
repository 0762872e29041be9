import MeshCore
import NetAddress
import Reactor

/// Where claims of one kind are in etcd, and how they read.
struct ClaimPlace<Value: Hashable & Sendable> {
    let keyOfService: (String) -> String
    let keyOfValue: (Value) -> String
    let text: (Value) -> String
    /// What the value of a claimant's key says.
    let parse: (_ service: String, _ text: String) -> Value?
}

extension EtcdSchema {
    var vipPlace: ClaimPlace<IPAddress> {
        ClaimPlace(
            keyOfService: { vip(of: $0) }, keyOfValue: { vip($0) }, text: \.description,
            parse: { _, text in IPAddress(text) })
    }

    var portPlace: ClaimPlace<PublishedNumber> {
        ClaimPlace(
            keyOfService: { port(of: $0) }, keyOfValue: { port($0) }, text: { "\($0.port)" },
            parse: { number($0, $1) })
    }
}

extension EtcdSchema {
    /// The number alone stands there: what it is for says which protocol it is of.
    func number(_ key: String, _ text: String) -> PublishedNumber? {
        guard let transport = PublishedNumber.transport(of: key), let port = PortText.port(text[...]) else {
            return nil
        }
        return PublishedNumber(transport, port)
    }
}

/// Makes claims of one kind. Lives on the source's loop.
final class EtcdClaims<Value: Hashable & Sendable>: Handler {
    private let loop: EventLoop
    private let client: EtcdClient
    private let place: ClaimPlace<Value>
    private var machine: ClaimMachine<Value>
    private var random: SourceRandom
    private var call: EtcdCall?
    /// What etcd has: values of claimants, and claimants of values.
    var present: () -> (values: [String: Value], owners: [Value: String]) = { ([:], [:]) }
    var claimed: (Int) -> Void = { _ in }

    init(
        _ machine: ClaimMachine<Value>, _ place: ClaimPlace<Value>, _ client: EtcdClient, on loop: EventLoop,
        seed: UInt64
    ) {
        self.machine = machine
        self.place = place
        self.client = client
        self.loop = loop
        random = SourceRandom(state: seed)
    }

    func start() { loop.attach(self) }

    func stop() {
        call?.cancel()
        loop.detach(self)
    }

    func want(_ wants: [Want<Value>], reserved: Set<Value> = []) {
        perform(machine.want(wants, reserved: reserved, random: random.next()))
    }

    /// The watch has told of these claimants.
    func told(_ services: Set<String>) { perform(machine.told(services, random: random.next())) }

    override func deadlineReached() {
        let now = present()
        perform(machine.timer(present: now.values, owners: now.owners, random: random.next()))
    }

    private func perform(_ actions: [ClaimMachine<Value>.Action]) {
        for action in actions {
            switch action {
            case .timer(let nanoseconds): loop.setDeadline(self, after: nanoseconds)
            case .claim(let list): post(list)
            }
        }
    }

    private func post(_ list: [ClaimMachine<Value>.Claim]) {
        call = client.call("/v3/kv/txn", EtcdRequest.claim(list, place)) { [unowned self] result in
            do throws(EtcdFailure) {
                let outcomes = try EtcdAnswer.outcomes(try result.get(), of: list, place)
                claimed(outcomes.count { $0 == .won })
                perform(machine.answered(outcomes, random: random.next()))
            } catch {
                Log.warning("cannot claim addresses or ports, trying again", ["cause": "\(error)"])
                perform(machine.failed(random: random.next()))
            }
        }
    }
}
