import JSONCodec
public import MeshCore

// Orders to drain instances, for all nodes.

extension EtcdSource {
    /// Why etcd did not do what was asked of it, with the member's address.
    public struct Refusal: Error, CustomStringConvertible {
        public let description: String
    }

    /// Orders all nodes to drain these instances, in place of orders before.
    ///
    /// - Parameters:
    ///   - node: who orders it.
    ///   - lastsSeconds: when the orders end by themselves.
    ///   - done: gets `nil`, or why etcd does not take them; some may be given all the same.
    public func order(
        drainOf keys: [InstanceKey], by node: String, lastsSeconds: Int, done: @escaping (Refusal?) -> Void
    ) {
        ask("/v3/lease/grant", EtcdRequest.grant(ttlSeconds: lastsSeconds)) { [self] result in
            do throws(Refusal) {
                guard let lease = try result.get()["ID"]?.integer else { throw refusal("no lease") }
                batches(keys[...], done) { [schema] in EtcdDrains.order($0, by: node, lease: lease, schema) }
            } catch {
                done(error)
            }
        }
    }

    /// Takes orders back.
    public func cancel(drainOf keys: [InstanceKey], done: @escaping (Refusal?) -> Void) {
        batches(keys[...], done) { [schema] in EtcdDrains.cancel($0, schema) }
    }

    /// Reads how far the nodes have come with the orders of a service.
    ///
    /// - Parameter wanted: whose orders count.
    public func progress(
        of service: String, wanted: @escaping (InstanceKey) -> Bool,
        done: @escaping (Result<DrainProgress, Refusal>) -> Void
    ) {
        ask("/v3/kv/txn", EtcdDrains.progress(of: service, schema)) { [self] result in
            done(
                result.flatMap { value in
                    do throws(EtcdFailure) {
                        return .success(try EtcdDrains.progress(value, schema, wanted: wanted))
                    } catch {
                        return .failure(refusal("\(error)"))
                    }
                })
        }
    }

    private func batches(
        _ keys: ArraySlice<InstanceKey>, _ done: @escaping (Refusal?) -> Void,
        _ body: @escaping (ArraySlice<InstanceKey>) -> String
    ) {
        ask("/v3/kv/txn", body(keys.prefix(EtcdDrains.batchLimit))) { [self] result in
            let rest = keys.dropFirst(EtcdDrains.batchLimit)
            switch result {
            case .failure(let refusal): done(refusal)
            case .success: if rest.isEmpty { done(nil) } else { batches(rest, done, body) }
            }
        }
    }

    private func ask(_ path: String, _ body: String, _ done: @escaping (Result<JSONValue, Refusal>) -> Void) {
        _ = client.call(path, body) { [self] result in done(result.mapError { refusal("\($0)") }) }
    }

    private func refusal(_ reason: String) -> Refusal { Refusal(description: "\(client.endpoint): \(reason)") }
}
