import Configuration
import HTTPClient
import MeshCore
import Registry

/// Whether the weights of a catalogue can be had: a service must not take a share of a route that it cannot serve
/// (semantics 1.3).
enum WeightCheck {
    /// What the file alone tells: a service that shares a route takes part in it without an instance, though the file
    /// announces those of the others.
    static func problems(_ catalogue: ComposeCatalogue) -> [String] {
        var open: [String: Int] = [:]
        for instance in catalogue.instances where instance.weight > 0 { open[instance.service, default: 0] += 1 }
        var sharers: [RuleKey: [ServiceSpec]] = [:]
        for service in catalogue.services {
            for key in Set(service.routes.map(\.key)) { sharers[key, default: []].append(service) }
        }
        var problems: Set<String> = []
        for (key, services) in sharers where services.count > 1 {
            guard services.contains(where: { open[$0.name] != nil }) else { continue }
            for service in services where service.weight > 0 && open[service.name] == nil {
                problems.insert(
                    "services.\(service.name): weight \(service.weight) of the shared route \(key), but no instance")
            }
        }
        return problems.sorted()
    }

    /// What a running meshd tells: a weight that would rise from 0 without a healthy instance.
    static func problems(_ catalogue: ComposeCatalogue, _ admin: AdminEndpoint) -> [String] {
        guard case .response(status: 200, body: let body) = AdminPage.fetch("/weights", admin) else {
            return ["no meshd answers at \(admin)"]
        }
        var present: [String: (weight: String, healthy: String)] = [:]
        for line in String(decoding: body, as: UTF8.self).split(separator: "\n") {
            let words = line.split(separator: " ").map(String.init)
            if words.count == 3 { present[words[0]] = (words[1], words[2]) }
        }
        return catalogue.services.compactMap { service in
            guard let now = present[service.name], now.weight == "0", now.healthy == "0", service.weight > 0 else {
                return nil
            }
            return "services.\(service.name): weight 0 would become \(service.weight), but no instance is healthy now"
        }
    }
}
