import NetAddress

/// Why the text of a value is not taken.
struct ValueFault: Error {
    let message: String
    init(_ message: String) { self.message = message }
}

/// What values a setting has and where they are kept.
enum SettingKind {
    case integer(WritableKeyPath<Settings, Int>, ClosedRange<Int>)
    /// One of a few numbers.
    case choice(WritableKeyPath<Settings, Int>, [Int])
    case seconds(WritableKeyPath<Settings, Double>, ClosedRange<Double>)
    case flag(WritableKeyPath<Settings, Bool>)
    case ip(WritableKeyPath<Settings, IPAddress>)
    case network(WritableKeyPath<Settings, IPNetwork>)
    case networks(WritableKeyPath<Settings, [IPNetwork]>, limit: Int)
    /// Some of a few words.
    case someOf(WritableKeyPath<Settings, [String]>, [String])
    case endpoint(WritableKeyPath<Settings, SocketAddress?>)
    case endpoints(WritableKeyPath<Settings, [SocketAddress]>, limit: Int)
    case admin(WritableKeyPath<Settings, AdminEndpoint?>)
    case texts(WritableKeyPath<Settings, [String]>, limit: Int)
    case text(WritableKeyPath<Settings, String>)
    case name(WritableKeyPath<Settings, String?>)
    case path(WritableKeyPath<Settings, String?>)
    case url(WritableKeyPath<Settings, String?>)
    /// A text that is never shown.
    case secret(WritableKeyPath<Settings, String?>)
    case domain(WritableKeyPath<Settings, String?>)
    /// One of a few words.
    case words([String], get: (Settings) -> String, set: (inout Settings, String) -> Bool)
    case accessLog(WritableKeyPath<Settings, AccessLog>)

    /// A setting whose values are the raw values of an enumeration.
    static func word<Word: RawRepresentable<String> & CaseIterable>(_ path: WritableKeyPath<Settings, Word>) -> Self {
        .words(
            Word.allCases.map(\.rawValue), get: { $0[keyPath: path].rawValue },
            set: { settings, text in
                guard let word = Word(rawValue: text) else { return false }
                settings[keyPath: path] = word
                return true
            })
    }

    /// Whether the setting may be given several times.
    var isRepeatable: Bool {
        switch self {
        case .endpoints, .texts, .networks, .someOf: true
        default: false
        }
    }

    var isFlag: Bool {
        if case .flag = self { true } else { false }
    }

    /// Values as documentation shows them.
    var values: String {
        switch self {
        case .integer(_, let range): "\(range.lowerBound)...\(range.upperBound)"
        case .choice(_, let numbers): numbers.map(String.init).joined(separator: ", ")
        case .seconds(_, let range): "\(Self.text(range.lowerBound))...\(Self.text(range.upperBound))"
        case .flag: "true, false"
        case .ip: "IP address"
        case .network, .networks: "CIDR"
        case .someOf(_, let words): words.joined(separator: ", ")
        case .endpoint, .endpoints: "ADDRESS:PORT"
        case .admin: "ADDRESS:PORT, unix:PATH"
        case .texts, .url: "URL"
        case .text, .name: "name"
        case .path: "path"
        case .secret: "text"
        case .domain: "domain name"
        case .words(let words, _, _): words.joined(separator: ", ")
        case .accessLog: "off, stdout, path"
        }
    }

    /// The value within `settings`; `nil` where there is none.
    func current(_ settings: Settings) -> String? {
        switch self {
        case .integer(let path, _), .choice(let path, _): String(settings[keyPath: path])
        case .seconds(let path, _): Self.text(settings[keyPath: path])
        case .flag(let path): String(settings[keyPath: path])
        case .ip(let path): settings[keyPath: path].description
        case .network(let path): settings[keyPath: path].description
        case .networks(let path, _): Self.joined(settings[keyPath: path].map(\.description))
        case .someOf(let path, _): Self.joined(settings[keyPath: path])
        case .endpoint(let path): settings[keyPath: path]?.description
        case .endpoints(let path, _): Self.joined(settings[keyPath: path].map(\.description))
        case .admin(let path): settings[keyPath: path]?.description
        case .texts(let path, _): Self.joined(settings[keyPath: path])
        case .text(let path): settings[keyPath: path]
        case .name(let path), .path(let path), .url(let path), .domain(let path): settings[keyPath: path]
        case .secret(let path): settings[keyPath: path].map { _ in "set" }
        case .words(_, let get, _): get(settings)
        case .accessLog(let path): settings[keyPath: path].description
        }
    }

    private static func joined(_ texts: [String]) -> String? { texts.isEmpty ? nil : texts.joined(separator: ", ") }

    private static func text(_ number: Double) -> String {
        number == number.rounded() ? String(Int(number)) : String(number)
    }

    /// Empties a repeatable setting.
    func clear(_ settings: inout Settings) {
        switch self {
        case .endpoints(let path, _): settings[keyPath: path] = []
        case .texts(let path, _), .someOf(let path, _): settings[keyPath: path] = []
        case .networks(let path, _): settings[keyPath: path] = []
        default: break
        }
    }

    /// Reads one value; a repeatable setting gets it behind the others.
    func store(_ text: String, in settings: inout Settings) throws(ValueFault) {
        switch self {
        case .integer(let path, let range): settings[keyPath: path] = try Self.integer(text, range)
        case .choice(let path, let numbers): settings[keyPath: path] = try Self.choice(text, numbers)
        case .seconds(let path, let range): settings[keyPath: path] = try Self.seconds(text, range)
        case .flag(let path): settings[keyPath: path] = try Self.flag(text)
        case .ip(let path): settings[keyPath: path] = try Self.value(IPAddress(text), text, "an IP address")
        case .network(let path): settings[keyPath: path] = try Self.network(text)
        case .networks(let path, let limit):
            try Self.append(try Self.peers(text), to: &settings[keyPath: path], limit)
        case .someOf(let path, let words):
            let word = try Self.value(words.contains(text) ? text : nil, text, words.joined(separator: " or "))
            try Self.append(word, to: &settings[keyPath: path], words.count)
        case .endpoint(let path): settings[keyPath: path] = try Self.endpoint(text)
        case .endpoints(let path, let limit):
            try Self.append(try Self.endpoint(text), to: &settings[keyPath: path], limit)
        case .admin(let path):
            settings[keyPath: path] = try Self.value(AdminEndpoint(text), text, "ADDRESS:PORT or unix:PATH")
        case .texts(let path, let limit): try Self.append(try Self.name(text), to: &settings[keyPath: path], limit)
        case .text(let path): settings[keyPath: path] = try Self.name(text)
        case .name(let path), .path(let path), .url(let path), .secret(let path):
            settings[keyPath: path] = try Self.name(text)
        case .domain(let path): settings[keyPath: path] = try Self.domain(text)
        case .words(_, _, let set):
            guard set(&settings, text) else { throw ValueFault("\(Self.quoted(text)) is not one of \(values)") }
        case .accessLog(let path): settings[keyPath: path] = try Self.accessLog(text)
        }
    }
}

// MARK: - Values from text

extension SettingKind {
    private static func quoted(_ text: String) -> String {
        text.count <= 80 ? "'\(text)'" : "'\(text.prefix(77))...'"
    }

    private static func value<T>(_ value: T?, _ text: String, _ wanted: String) throws(ValueFault) -> T {
        guard let value else { throw ValueFault("\(quoted(text)) is not \(wanted)") }
        return value
    }

    private static func digits(_ text: some StringProtocol) -> Int? {
        guard (1...9).contains(text.utf8.count) else { return nil }
        return text.utf8.allSatisfy { (0x30...0x39).contains($0) } ? Int(text) : nil
    }

    private static func integer(_ text: String, _ range: ClosedRange<Int>) throws(ValueFault) -> Int {
        let number = digits(text).flatMap { range.contains($0) ? $0 : nil }
        return try value(number, text, "a whole number from \(range.lowerBound) to \(range.upperBound)")
    }

    private static func choice(_ text: String, _ numbers: [Int]) throws(ValueFault) -> Int {
        let number = digits(text).flatMap { numbers.contains($0) ? $0 : nil }
        return try value(number, text, numbers.map(String.init).joined(separator: " or "))
    }

    private static func seconds(_ text: String, _ range: ClosedRange<Double>) throws(ValueFault) -> Double {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        let isDecimal = (1...2).contains(parts.count) && parts.allSatisfy { digits($0) != nil }
        let number = (isDecimal ? Double(text) : nil).flatMap { range.contains($0) ? $0 : nil }
        let bounds = "\(Self.text(range.lowerBound)) to \(Self.text(range.upperBound))"
        return try value(number, text, "a number of seconds from \(bounds)")
    }

    private static func flag(_ text: String) throws(ValueFault) -> Bool {
        try value(Bool(text), text, "true or false")
    }

    private static func endpoint(_ text: String) throws(ValueFault) -> SocketAddress {
        try value(SocketAddress(text), text, "ADDRESS:PORT with an IP address, as 127.0.0.1:80 or [::1]:80")
    }

    private static func range(_ text: String) throws(ValueFault) -> IPNetwork {
        try value(IPNetwork(text), text, "ADDRESS/LENGTH with no bits set behind the prefix")
    }

    /// A range with room for services.
    private static func network(_ text: String) throws(ValueFault) -> IPNetwork {
        let network = try range(text)
        guard network.hostBits >= 4 else { throw ValueFault("\(quoted(text)) has room for fewer than 16 addresses") }
        return network
    }

    /// A range of any size; an address alone is a range of one.
    private static func peers(_ text: String) throws(ValueFault) -> IPNetwork {
        let network = IPNetwork(text) ?? IPAddress(text).flatMap { IPNetwork("\($0)/\($0.isV4 ? 32 : 128)") }
        return try value(network, text, "ADDRESS or ADDRESS/LENGTH with no bits set behind the prefix")
    }

    private static func name(_ text: String) throws(ValueFault) -> String {
        guard !text.isEmpty else { throw ValueFault("the value is empty") }
        guard text.utf8.count <= 4_096, !text.utf8.contains(where: { $0 < 0x20 || $0 == 0x7f }) else {
            throw ValueFault("the value is longer than 4096 bytes or holds a control character")
        }
        return text
    }

    private static func domain(_ text: String) throws(ValueFault) -> String {
        let name = text.lowercased()
        guard HostNameText.isValid(name) else { throw ValueFault("\(quoted(text)) is not a domain name") }
        return name
    }

    private static func accessLog(_ text: String) throws(ValueFault) -> AccessLog {
        switch text {
        case "off": .off
        case "stdout": .stdout
        default: .file(path: try name(text))
        }
    }

    private static func append<T>(_ value: T, to list: inout [T], _ limit: Int) throws(ValueFault) {
        guard list.count < limit else { throw ValueFault("given more than \(limit) times") }
        list.append(value)
    }
}
