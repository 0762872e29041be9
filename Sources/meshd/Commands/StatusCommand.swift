import Configuration
import HTTPClient
import NetAddress
import Reactor

/// `meshd status` and `meshd explain`: pages of a running meshd's admin address.
enum StatusCommand {
    static func run(_ arguments: [String]) -> Int32 {
        var arguments = CommandArguments(arguments)
        let admin = arguments.takeAdmin()
        let isJSON = arguments.take("--json")
        guard arguments.rest.isEmpty, arguments.problem == nil else {
            return Commands.complain(
                arguments.problem ?? "usage: meshd status [--json] [--admin ADDRESS:PORT|unix:PATH]")
        }
        return AdminPage.show(isJSON ? "/status.json" : "/status", admin)
    }
}

enum ExplainCommand {
    static func run(_ arguments: [String]) -> Int32 {
        var arguments = CommandArguments(arguments)
        let admin = arguments.takeAdmin()
        var headers: [String] = []
        while let header = arguments.takeValue("--header") { headers.append(header) }
        let method = arguments.takeValue("--method")
        guard arguments.problem == nil, arguments.rest.count == 1, let target = arguments.rest.first else {
            return Commands.complain(
                arguments.problem
                    ?? "usage: meshd explain URL|ADDRESS:PORT [--header 'NAME: VALUE']... [--method M] [--admin WHERE]")
        }
        var path = "/explain?target=\(Query.encode(target))"
        if let method { path += "&method=\(Query.encode(method))" }
        for header in headers {
            guard header.contains(":") else { return Commands.complain("--header: '\(header)' is not NAME: VALUE") }
            path += "&header=\(Query.encode(header))"
        }
        return AdminPage.show(path, admin)
    }
}

/// Fetches one page of the admin address and prints it.
enum AdminPage {
    private static let timeoutNanoseconds: UInt64 = 5_000_000_000
    private static let limitBytes = 64 << 20

    static func show(_ path: String, _ admin: AdminEndpoint?) -> Int32 {
        guard let admin else { return 2 }
        switch fetch(path, admin) {
        case .response(let status, let body):
            let text = String(decoding: body, as: UTF8.self)
            guard status == 200 else { return Commands.fail("meshd at \(admin) answered \(status): \(text)") }
            Process.write(text)
            return 0
        case .failed(let reason): return Commands.fail("no meshd answers at \(admin): \(reason)")
        }
    }

    static func fetch(
        _ path: String, _ admin: AdminEndpoint, method: String = "GET", headers: [(String, String)] = []
    ) -> FetchResult {
        let target: FetchRequest.Target =
            switch admin {
            case .tcp(let address): .tcp(address)
            case .unix(let path): .unix(path: path)
            }
        guard let loop = try? EventLoop() else { return .failed(.closedEarly) }
        var result = FetchResult.failed(.closedEarly)
        let request = FetchRequest(
            method, path, to: target, host: "meshd", headers: headers.map { (name: $0, value: $1) },
            timeoutNanoseconds: timeoutNanoseconds, bodyLimitBytes: limitBytes)
        HTTPFetch.start(request, on: loop) {
            result = $0
            loop.stop()
        }
        loop.run()
        return result
    }
}
