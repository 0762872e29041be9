extension HostTable {
    /// Index into `rules` of the rule for a request; `nil` when no rule matches.
    ///
    /// - Parameter nextField: only asked where a rule has conditions on header fields.
    public func match(_ request: RouteRequest, nextField: RouteRequest.NextField = { _, _ in nil }) -> Int? {
        var length = request.host.count
        if length > 0, request.host[length - 1] == UInt8(ascii: ".") { length -= 1 }
        guard length > 0, length <= 255 else { return anyMatch(request, nextField) }
        return withUnsafeTemporaryAllocation(of: UInt64.self, capacity: 128) { suffixes in
            withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 128 + 256) { scratch in
                let lower = UnsafeMutableBufferPointer(rebasing: scratch[128...])
                let starts = UnsafeMutableBufferPointer(rebasing: scratch[..<128])
                let name = HostName(lower: lower, length: length, starts: starts, suffixes: suffixes)
                return match(name, request, nextField)
            }
        }
    }

    /// Scratch of one look-up: the name in lower case, and where its suffixes begin.
    private struct HostName {
        let lower: UnsafeMutableBufferPointer<UInt8>
        let length: Int
        let starts: UnsafeMutableBufferPointer<UInt8>
        let suffixes: UnsafeMutableBufferPointer<UInt64>

        var base: UnsafeMutablePointer<UInt8> { lower.baseAddress! }

        func bytes(from start: Int) -> UnsafeBufferPointer<UInt8> {
            UnsafeBufferPointer(start: base + start, count: length - start)
        }

        /// Returns how many there are, the longest last.
        func findSuffixes() -> Int {
            var hash = HostHash()
            var count = 0
            var index = length - 1
            // A wildcard stands for one label or more, so nothing before the dot is no match.
            while index > 0, count < 128 {
                if lower[index] == UInt8(ascii: ".") {
                    starts[count] = UInt8(index + 1)
                    suffixes[count] = hash.value
                    count += 1
                }
                hash.add(lower[index])
                index -= 1
            }
            return count
        }
    }

    private func match(
        _ name: HostName, _ request: RouteRequest, _ nextField: RouteRequest.NextField
    ) -> Int? {
        let hash = NameWords.lower(request.host.baseAddress!, name.length, to: UnsafeMutableRawPointer(name.base))
        if let exact = find(hash, name.bytes(from: 0), false, request, nextField) { return exact }
        var count = hasWildcards || globCount > 0 ? name.findSuffixes() : 0
        var glob = 0
        // The last dot seen belongs to the longest suffix.
        while count > 0 {
            count -= 1
            let start = Int(name.starts[count])
            if glob < globCount {
                let found = globMatch(&glob, downTo: name.length - start + 1, name.bytes(from: 0), request, nextField)
                if let found { return found }
            }
            if let found = find(name.suffixes[count], name.bytes(from: start), true, request, nextField) {
                return found
            }
        }
        if glob < globCount, let found = globMatch(&glob, downTo: 0, name.bytes(from: 0), request, nextField) {
            return found
        }
        return anyMatch(request, nextField)
    }

    private func find(
        _ hash: UInt64, _ name: UnsafeBufferPointer<UInt8>, _ isWildcard: Bool, _ request: RouteRequest,
        _ nextField: RouteRequest.NextField
    ) -> Int? {
        var slot = Int(truncatingIfNeeded: hash) & slotMask
        while slots[slot] >= 0 {
            let host = hosts[Int(slots[slot])]
            if host.hash == hash, host.isWildcard == isWildcard, Int(host.name.count) == name.count,
                NameWords.equal(text + Int(host.name.start), name.baseAddress!, name.count)
            {
                return entryMatch(host.entries, request, nextField)
            }
            slot = (slot + 1) & slotMask
        }
        return nil
    }

    /// The best rule of the patterns from `glob` on whose suffix has at least `suffix` octets; `glob` moves behind
    /// those that were tried.
    private func globMatch(
        _ glob: inout Int, downTo suffix: Int, _ name: UnsafeBufferPointer<UInt8>, _ request: RouteRequest,
        _ nextField: RouteRequest.NextField
    ) -> Int? {
        while glob < globCount, Int(globs[glob].suffix) >= suffix {
            let (tail, literals) = (globs[glob].suffix, globs[glob].literals)
            var best: Int?
            while glob < globCount, globs[glob].suffix == tail, globs[glob].literals == literals {
                let host = globs[glob]
                glob += 1
                let pattern = text + Int(host.pattern.start)
                guard Glob.matches(pattern, Int(host.pattern.count), name.baseAddress!, name.count),
                    let found = entryMatch(host.entries, request, nextField)
                else { continue }
                if best.map({ entries[found].rank < entries[$0].rank }) ?? true { best = found }
            }
            if let best { return best }
        }
        return nil
    }

    private func anyMatch(_ request: RouteRequest, _ nextField: RouteRequest.NextField) -> Int? {
        anyHost < 0 ? nil : entryMatch(hosts[Int(anyHost)].entries, request, nextField)
    }

    private func entryMatch(
        _ range: EntryRange, _ request: RouteRequest, _ nextField: RouteRequest.NextField
    ) -> Int? {
        for index in Int(range.first)..<Int(range.first + range.count) {
            let entry = entries[index]
            guard pathMatches(entry, request), !entry.isSecureOnly || request.isSecure else { continue }
            if entry.conditionCount == 0 || failedCondition(entry, request, nextField) == nil { return index }
        }
        return nil
    }

    private func pathMatches(_ entry: Entry, _ request: RouteRequest) -> Bool {
        let count = Int(entry.path.count)
        let own = text + Int(entry.path.start)
        let path = request.path
        switch entry.kind {
        case .prefix:
            if count == 0 { return true }
            guard path.count >= count, let base = path.baseAddress?.assumingMemoryBound(to: UInt8.self),
                equal(own, base, count)
            else { return false }
            // Whole segments only.
            return path.count == count || base[count] == UInt8(ascii: "/") || base[count] == UInt8(ascii: "?")
        case .exact, .glob:
            guard let base = path.baseAddress?.assumingMemoryBound(to: UInt8.self) else { return false }
            let length = request.pathLength
            if entry.kind == .glob { return Glob.matches(own, count, base, length) }
            return length == count && equal(own, base, count)
        }
    }

    /// Index, within the rule's own, of the first condition that does not hold.
    private func failedCondition(
        _ entry: Entry, _ request: RouteRequest, _ nextField: RouteRequest.NextField
    ) -> Int? {
        for index in 0..<Int(entry.conditionCount) {
            let condition = conditions[Int(entry.firstCondition) + index]
            if !ConditionList.holds(condition, text, request, nextField) { return index }
        }
        return nil
    }

    @inline(__always)
    private func equal(_ a: UnsafePointer<UInt8>, _ b: UnsafePointer<UInt8>, _ count: Int) -> Bool {
        for index in 0..<count where a[index] != b[index] { return false }
        return true
    }
}

// MARK: - Why

extension HostTable {
    /// What of a rule a request does not meet.
    public enum Mismatch: Equatable, Sendable {
        case host, path, notSecure
        case condition(RouteCondition)
    }

    /// Why the request does not match the rule; `nil`: it does. For people: each rule is looked at alone.
    public func mismatch(
        rule index: Int, _ request: RouteRequest, nextField: RouteRequest.NextField = { _, _ in nil }
    ) -> Mismatch? {
        let entry = entries[index]
        guard hostMatches(rules[index].host, request.host) else { return .host }
        guard pathMatches(entry, request) else { return .path }
        guard !entry.isSecureOnly || request.isSecure else { return .notSecure }
        return failedCondition(entry, request, nextField).map { .condition(rules[index].key.conditions[$0]) }
    }

    private func hostMatches(_ pattern: HostPattern, _ host: UnsafeRawBufferPointer) -> Bool {
        var name = String(decoding: host, as: UTF8.self).lowercased()
        if name.hasSuffix(".") { name.removeLast() }
        switch pattern {
        case .exact(let text): return name == text
        case .wildcard(let suffix): return name.hasSuffix("." + suffix) && name.utf8.count > suffix.utf8.count + 1
        case .any: return true
        case .glob(let text):
            let (text, name) = (Array(text.utf8), Array(name.utf8))
            guard !name.isEmpty, name.count <= 255 else { return false }
            return text.withUnsafeBufferPointer { text in
                name.withUnsafeBufferPointer {
                    Glob.matches(text.baseAddress!, text.count, $0.baseAddress!, $0.count)
                }
            }
        }
    }
}
