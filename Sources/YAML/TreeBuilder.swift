extension YAMLNode {
    /// Reads one YAML 1.1 document in UTF-8.
    ///
    /// Text without a value reads as null. Keys must be scalars and unique; `<<` takes over the keys of a mapping or
    /// of several (own keys win, then the earlier mapping). Tags have no effect.
    public static func parse(_ bytes: [UInt8], limits: YAMLLimits = YAMLLimits()) throws(YAMLProblem) -> YAMLNode {
        guard bytes.count <= limits.bytes else {
            throw YAMLProblem(line: 1, column: 1, message: "larger than \(limits.bytes) bytes")
        }
        let result = bytes.withUnsafeBufferPointer { input -> Result<YAMLNode, YAMLProblem> in
            guard let reader = EventReader(input) else { return .success(.null) }
            var builder = TreeBuilder(reader, limits)
            do throws(YAMLProblem) {
                return .success(try builder.document())
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }

    fileprivate static let null = YAMLNode(.scalar(text: "", isPlain: true), line: 1, column: 1)
}

/// Turns events into a tree.
private struct TreeBuilder: ~Copyable {
    /// A node that aliases may name, with what each use of it costs.
    struct Anchored {
        let node: YAMLNode
        let nodes: Int
        let depth: Int
    }

    private var reader: EventReader
    private let limits: YAMLLimits
    private var anchors: [String: Anchored] = [:]
    private var nodeCount = 0
    /// Keys and item numbers down to the value being read; left as it is on an error, which takes it along.
    private var path: [String] = []

    init(_ reader: consuming EventReader, _ limits: YAMLLimits) {
        self.reader = reader
        self.limits = limits
    }

    mutating func document() throws(YAMLProblem) -> YAMLNode {
        var root: YAMLNode?
        while true {
            let event = try next()
            switch event.kind {
            case .streamEnd: return root ?? .null
            case .documentStart:
                guard root == nil else { throw problem(event, "a second document; only one is read") }
                root = try value(try next(), level: 1).node
            default: continue
            }
        }
    }

    private mutating func next() throws(YAMLProblem) -> YAMLEvent {
        do throws(YAMLProblem) {
            return try reader.next()
        } catch {
            throw YAMLProblem(line: error.line, column: error.column, path: path, message: error.message)
        }
    }

    private func problem(_ event: YAMLEvent, _ message: String) -> YAMLProblem {
        YAMLProblem(line: event.line, column: event.column, path: path, message: message)
    }

    /// Reads the value that begins with `event`; `depth` is that of the value alone, 1 for a scalar.
    private mutating func value(_ event: YAMLEvent, level: Int) throws(YAMLProblem) -> (node: YAMLNode, depth: Int) {
        guard level <= limits.depth else { throw problem(event, "more than \(limits.depth) values within each other") }
        let before = nodeCount
        try count(1, event)
        switch event.kind {
        case .alias(let name):
            guard let anchored = anchors[name] else { throw problem(event, "no anchor '\(name)' before this alias") }
            guard level + anchored.depth - 1 <= limits.depth else {
                throw problem(event, "more than \(limits.depth) values within each other")
            }
            try count(anchored.nodes - 1, event)
            return (anchored.node, anchored.depth)
        case .scalar(let text, let isPlain, let anchor):
            let node = YAMLNode(.scalar(text: text, isPlain: isPlain), line: event.line, column: event.column)
            keep(node, anchor, depth: 1, since: before)
            return (node, 1)
        case .sequenceStart(let anchor):
            let (items, depth) = try sequence(level: level)
            let node = YAMLNode(.sequence(items), line: event.line, column: event.column)
            keep(node, anchor, depth: depth + 1, since: before)
            return (node, depth + 1)
        case .mappingStart(let anchor):
            let (pairs, depth) = try mapping(level: level)
            let node = YAMLNode(.mapping(pairs), line: event.line, column: event.column)
            keep(node, anchor, depth: depth + 1, since: before)
            return (node, depth + 1)
        default: throw problem(event, "a value is missing")
        }
    }

    private mutating func count(_ nodes: Int, _ event: YAMLEvent) throws(YAMLProblem) {
        nodeCount += nodes
        guard nodeCount <= limits.nodes else {
            throw problem(event, "more than \(limits.nodes) values, aliases counted as often as they are used")
        }
    }

    private mutating func keep(_ node: YAMLNode, _ anchor: String?, depth: Int, since before: Int) {
        guard let anchor else { return }
        anchors[anchor] = Anchored(node: node, nodes: nodeCount - before, depth: depth)
    }

    private mutating func sequence(level: Int) throws(YAMLProblem) -> (items: [YAMLNode], depth: Int) {
        var items: [YAMLNode] = []
        var depth = 0
        while true {
            path.append(String(items.count))
            let event = try next()
            if case .sequenceEnd = event.kind { break }
            let item = try value(event, level: level + 1)
            items.append(item.node)
            depth = max(depth, item.depth)
            path.removeLast()
        }
        path.removeLast()
        return (items, depth)
    }

    private mutating func mapping(level: Int) throws(YAMLProblem) -> (pairs: [YAMLPair], depth: Int) {
        var pairs: [YAMLPair] = []
        var keys: Set<String> = []
        var merged: [YAMLPair] = []
        var depth = 0
        while true {
            let event = try next()
            if case .mappingEnd = event.kind { break }
            let (key, isMerge) = try key(event, level: level + 1)
            path.append(key)
            guard keys.insert(key).inserted else { throw problem(event, "this key is already there") }
            let valueEvent = try next()
            let value = try value(valueEvent, level: level + 1)
            if isMerge {
                merged = try mergedPairs(value.node, valueEvent)
            } else {
                pairs.append(YAMLPair(key: key, line: event.line, column: event.column, value: value.node))
            }
            depth = max(depth, value.depth)
            path.removeLast()
        }
        for pair in merged where keys.insert(pair.key).inserted { pairs.append(pair) }
        return (pairs, depth)
    }

    private mutating func key(_ event: YAMLEvent, level: Int) throws(YAMLProblem) -> (text: String, isMerge: Bool) {
        guard case .scalar(let text, let isPlain) = try value(event, level: level).node.content else {
            throw problem(event, "a key must be plain text, not a list or a mapping")
        }
        return (text, isPlain && text == "<<")
    }

    /// What `<<` brings: the pairs of one mapping, or of several, the earlier first.
    private func mergedPairs(_ node: YAMLNode, _ event: YAMLEvent) throws(YAMLProblem) -> [YAMLPair] {
        switch node.content {
        case .mapping(let pairs): return pairs
        case .sequence(let items):
            var all: [YAMLPair] = []
            for item in items {
                guard let pairs = item.pairs else { throw problem(event, "'<<' takes a mapping or a list of mappings") }
                all += pairs
            }
            return all
        case .scalar: throw problem(event, "'<<' takes a mapping or a list of mappings")
        }
    }
}
