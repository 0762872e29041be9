import JSONCodec
public import Reactor

/// Gives up what the nodes have agreed on for services that will not come back: VIPs and numbers of published ports.
/// Lives on one loop, for one question.
public final class EtcdReleaser {
    public enum Outcome: Equatable, Sendable {
        /// Addresses, and numbers with what they were for.
        case released([String])
        /// Nothing is kept for the service.
        case nothing
        /// Why it stays as it is.
        case refused(String)
        /// etcd does not answer, or says no.
        case failed(String)
    }

    /// Attempts where a service changes while it is looked at.
    private static let attemptLimit = 3
    /// Transactions for one service.
    private static let roundLimit = 1_000

    private let client: EtcdClient
    private let schema: EtcdSchema
    private let members: Int
    private var refusals = 0
    private var rounds = 0
    private var released: [String] = []

    public init(_ url: EtcdURL, seed: UInt64, on loop: EventLoop) {
        client = EtcdClient(url, on: loop, seed: seed)
        schema = EtcdSchema(url)
        members = url.endpoints.count
    }

    /// Releases what is kept for a service that the registry neither describes nor has instances of.
    public func release(_ service: String, _ done: @escaping (Outcome) -> Void) {
        // Nothing can be kept for what is no name.
        if ServiceReader.isValidName(service) { look(service, done) } else { done(.nothing) }
    }

    private func look(_ service: String, _ done: @escaping (Outcome) -> Void) {
        ask(EtcdRelease.look(service, schema), EtcdRelease.found) { [self] result in
            switch result {
            case .failure(let failure): done(.failed("\(client.endpoint): \(failure)"))
            case .success(let kept):
                if let obstacle = kept.obstacle { return done(.refused(obstacle)) }
                if kept.isEmpty { return done(released.isEmpty ? .nothing : .released(released)) }
                give(service, kept, done)
            }
        }
    }

    private func give(_ service: String, _ kept: EtcdRelease.Kept, _ done: @escaping (Outcome) -> Void) {
        let body = EtcdRelease.release(service, kept, schema)
        ask(body, { $0["succeeded"]?.bool ?? false }) { [self] result in
            switch result {
            case .failure(let failure): return done(.failed("\(client.endpoint): \(failure)"))
            case .success(true):
                var given = kept
                given.ports = Array(given.ports.prefix(EtcdRelease.batchLimit))
                released += EtcdRelease.texts(given, schema)
            case .success(false): refusals += 1
            }
            rounds += 1
            guard refusals < Self.attemptLimit, rounds < Self.roundLimit else {
                return done(.refused("it changes meanwhile"))
            }
            look(service, done)
        }
    }

    /// What is kept for services of which the registry has nothing else: names, each with addresses and numbers.
    public func unused(_ done: @escaping (Result<[(service: String, kept: [String])], Refusal>) -> Void) {
        let read = { [schema] (value: JSONValue) throws(EtcdFailure) in try EtcdRelease.unused(value, schema) }
        ask(EtcdRelease.lookAtAll(schema), read) { [self] result in
            switch result {
            case .failure(let failure): done(.failure(Refusal(description: "\(client.endpoint): \(failure)")))
            case .success(let found):
                done(.success(found.sorted { $0.key < $1.key }.map { ($0.key, EtcdRelease.texts($0.value, schema)) }))
            }
        }
    }

    public typealias Refusal = EtcdSource.Refusal

    /// Asks one member after the other until one answers.
    private func ask<T>(
        _ body: String, attempt: Int = 1, _ read: @escaping (JSONValue) throws(EtcdFailure) -> T,
        _ done: @escaping (Result<T, EtcdFailure>) -> Void
    ) {
        _ = client.call("/v3/kv/txn", body) { [self] result in
            do throws(EtcdFailure) {
                done(.success(try read(try result.get())))
            } catch {
                guard case .unreachable = error, attempt < members else { return done(.failure(error)) }
                client.failover()
                client.forgetToken()
                ask(body, attempt: attempt + 1, read, done)
            }
        }
    }
}
