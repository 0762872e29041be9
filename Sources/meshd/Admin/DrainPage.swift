import MeshCore
import Reactor
import Registry

/// `/drain` of the admin address: POST orders and cancels, GET tells how far it has come. All answers are JSON.
enum DrainPage {
    /// A field that no page of a browser sends to another origin unasked: an order must be meant.
    static let field = "X-Meshd-Command"
    static let lasts = 10...86_400

    static func answer(_ request: SmallRequest, _ desk: DrainDesk, _ answer: @escaping SmallServer.Answer) {
        let query = Query(request.query)
        guard let target = query["target"].flatMap({ DrainDesk.Target($0) }) else {
            return answer(fault(400, "target is missing"))
        }
        guard request.method == "POST" else {
            return desk.progress(target) { result in
                switch result {
                case .failure(let refusal): answer(fault(503, refusal.description))
                case .success(let progress): answer(reply(json(progress)))
                }
            }
        }
        let told: (DrainDesk.Outcome) -> Void = { outcome in
            switch outcome {
            case .done(let keys):
                Log.info(
                    query["cancel"] == nil ? "drain ordered" : "drain cancelled",
                    ["target": query["target"] ?? "", "instances": "\(keys.count)"])
                answer(reply(.object([("instances", .array(keys.map { .string($0.description) }))])))
            case .unknown(let reason): answer(fault(404, reason))
            case .refused(let reason): answer(fault(503, reason))
            }
        }
        if query["cancel"] != nil { return desk.cancel(target, told) }
        guard let seconds = Int(query["lasts"] ?? "3600"), lasts.contains(seconds) else {
            return answer(
                fault(400, "lasts is not a number of seconds from \(lasts.lowerBound) to \(lasts.upperBound)"))
        }
        desk.order(target, lastsSeconds: seconds, told)
    }

    private static func reply(_ json: JSON, status: Int = 200) -> SmallResponse {
        SmallResponse(status: status, contentType: "application/json", body: json.text + "\n")
    }

    private static func fault(_ status: Int, _ reason: String) -> SmallResponse {
        reply(.object([("error", .string(reason))]), status: status)
    }

    private static func json(_ progress: DrainProgress) -> JSON {
        .object([
            ("orders", .array(progress.orders.keys.sorted().map { .string($0.description) })),
            (
                "nodes",
                .array(
                    progress.rests.map { rest in
                        .object([
                            ("node", .string(rest.node)),
                            ("silent", .array(rest.silent.map { .string($0.description) })),
                            (
                                "left",
                                .array(rest.left.map { .object([("instance", .string($0.description))] + counts($1)) })
                            ),
                        ])
                    })
            ),
        ])
    }

    static func counts(_ counts: FlightCounts) -> [(String, JSON)] {
        counts.present.map { ($0.kind.rawValue, .int($0.count)) }
    }
}
