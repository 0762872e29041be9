import Testing

/// The admin address.
@Suite struct AdminTests {
    @Test func liveAndReadyAnswer() throws {
        try Web.with(Behave.named) { mesh, _ in
            try demandEqual(try mesh.adminGet("/live").status, 200, "/live")
            try demandEqual(try mesh.adminGet("/ready").status, 200, "/ready")
            try demandEqual(try mesh.adminGet("/nothing-here").status, 404, "an unknown path")
        }
    }

    @Test func metricsAreInTheTextFormatAndCount() throws {
        try Web.with(Behave.named) { mesh, _ in
            let client = try mesh.client()
            for _ in 0..<25 { _ = try client.exchange(host: Web.host) }
            _ = try mesh.get("nobody.example")
            let response = try mesh.adminGet("/metrics")
            try demand(response.head["Content-Type"]?.hasPrefix("text/plain") == true, "\(response.head.fields)")
            for kind in Metric.kinds {
                try demand(response.text.contains(kind), "no metric with \(kind) in \(response.text)")
            }
            try MetricsText(response.text).check()
            try eventually("requests are counted") { (try mesh.metric("meshd_http_requests_total") ?? 0) >= 26 }
        }
    }

    @Test func statusShowsServicesInstancesAndPorts() throws {
        let port = FreePort.take()
        let instance = try HTTPInstance("web")
        let service = Catalogue.Service.web("web", Web.host, [instance]).publishing(port, to: 8080)
            .label("aliyun.scale", "3")
        try withMesh(Catalogue([service])) { mesh in
            let text = try mesh.statusText()
            for part in ["web", try mesh.vip("web"), "\(port)", instance.address] {
                try demand(text.contains(part), "no \(part) in \(text)")
            }
            try demand(InstanceState.isServing(try mesh.state(of: instance.address)), "state in JSON")
            let generation = try mesh.status().first { $0["generation"] != nil }
            try demand(generation != nil, "a generation in JSON")
        }
    }

    @Test func adminMayBeAUnixSocket() throws {
        var options = MeshProcess.Options()
        options.isAdminUnix = true
        let instance = try HTTPInstance("web")
        try withMesh(Catalogue([.web("web", Web.host, [instance])]), options) { mesh in
            try demand(try mesh.statusText().contains("web"), "status over the socket")
        }
    }

    @Test func explainNamesRuleServiceAndInstances() throws {
        let shop = try HTTPInstance("shop")
        let cart = try HTTPInstance("cart")
        let catalogue = Catalogue([
            .web("shop", "shopping.company.com", [shop]), .web("cart", "shopping.company.com/cart", [cart]),
        ])
        try withMesh(catalogue) { mesh in
            let known = try mesh.run(["explain", "http://shopping.company.com/cart/1", "--admin", mesh.admin])
            try demandEqual(known.status, 0, "exit of explain: \(known.errors)")
            for part in ["cart", "/cart", cart.address] {
                try demand(known.output.contains(part), "no \(part) in \(known.output)")
            }
            try demand(!known.output.contains(shop.address), "an instance of another service: \(known.output)")
            let unknown = try mesh.run(["explain", "http://nobody.example/", "--admin", mesh.admin])
            try demand((unknown.output + unknown.errors).contains("404"), "unknown host: \(unknown.output)")
            let address = "\(try mesh.vip("cart")):8080"
            let byVIP = try mesh.run(["explain", address, "--admin", mesh.admin])
            try demand(byVIP.output.contains("cart"), "explain \(address): \(byVIP.output)")
        }
    }

    @Test func explainSaysTheStatusThatIsAnswered() throws {
        try Web.with([try HTTPInstance("web")], ["--unknown-host-status", "503"]) { mesh in
            try demandEqual(try mesh.get("nobody.example").status, 503, "status")
            let unknown = try mesh.run(["explain", "http://nobody.example/", "--admin", mesh.admin])
            try demand(unknown.output.contains("answered 503"), "explain: \(unknown.output)")
        }
    }

    @Test func theLogIsJSONAndSilentAboutRequests() throws {
        try Web.with(Behave.named) { mesh, _ in
            let before = mesh.log.split(separator: "\n").count
            let client = try mesh.client()
            for _ in 0..<50 { _ = try client.exchange(host: Web.host) }
            let lines = mesh.log.split(separator: "\n")
            try demand(lines.count < before + 10, "a line a request: \(lines.suffix(5))")
            for line in lines {
                let value = try JSONValue(parsing: String(line))
                for key in ["time", "level", "message"] { try demand(value[key]?.text != nil, "no \(key) in \(line)") }
                try demand(value["level"]?.text != "error", "an error without a cause: \(line)")
            }
        }
    }
}

/// The Prometheus text format, as far as a scraper would stumble over it.
private struct MetricsText {
    let text: String

    init(_ text: String) { self.text = text }

    func check() throws {
        var typed: Set<Substring> = []
        for line in text.split(separator: "\n") {
            if line.hasPrefix("# TYPE ") {
                let name = line.split(separator: " ")[2]
                try demand(typed.insert(name).inserted, "two TYPE lines of \(name)")
            }
            guard !line.hasPrefix("#") else { continue }
            let parts = line.split(separator: " ")
            let name = line.prefix { $0 != "{" && $0 != " " }
            try demand(name.hasPrefix("meshd_") || name.hasPrefix("process_"), "name of \(line)")
            try demand(parts.last.flatMap { Double($0) } != nil, "value of \(line)")
            let bases =
                [name] + ["_bucket", "_sum", "_count"].filter { name.hasSuffix($0) }.map { name.dropLast($0.count) }
            try demand(bases.contains { typed.contains($0) }, "no TYPE before \(line)")
        }
    }
}
