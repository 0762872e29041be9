import HTTPCodec

/// The chunked coding read in the plainest way, from the whole body at once (RFC 9112 section 7.1).
struct ChunkReference: Equatable {
    enum End: Equatable { case finished(consumed: Int), incomplete, malformed }

    var data: [UInt8] = []
    var trailers: [UInt8] = []
    var end = End.incomplete

    init(_ input: [UInt8]) {
        var rest = input[...]
        while true {
            guard let line = Self.takeSizeLine(&rest, &end) else { return }
            if line == 0 { break }
            data += rest.prefix(Int(clamping: line))
            guard rest.count >= line else { return }
            rest = rest.dropFirst(Int(line))
            guard Array(rest.prefix(2)) == Array("\r\n".utf8.prefix(rest.count)) else {
                end = .malformed
                return
            }
            guard rest.count >= 2 else { return }
            rest = rest.dropFirst(2)
        }
        takeTrailers(rest)
    }

    /// `nil` where the line is not whole or not good.
    private static func takeSizeLine(_ rest: inout ArraySlice<UInt8>, _ end: inout End) -> UInt64? {
        let stop = rest.firstIndex { $0 != 9 && ($0 < 0x20 || $0 == 0x7f) }
        let line = rest[..<(stop ?? rest.endIndex)]
        let digits = line.prefix { Character(UnicodeScalar($0)).isHexDigit && $0 < 128 }
        let behind = line[digits.endIndex...].drop { $0 == 0x20 || $0 == 9 }
        let isSized = !digits.isEmpty && digits.count <= 16 && behind.first ?? 0x3b == 0x3b
        let value = UInt64(String(decoding: digits, as: UTF8.self), radix: 16)
        if !digits.isEmpty, value ?? .max > UInt64(Int64.max) { end = .malformed }
        if !line.isEmpty && !isSized || line.count > 4096 { end = .malformed }
        guard let stop else { return nil }
        if rest[stop] != 13 || line.isEmpty { end = .malformed }
        if rest.endIndex > stop + 1, rest[stop + 1] != 10 { end = .malformed }
        guard end != .malformed, rest.endIndex > stop + 1 else { return nil }
        rest = rest[(stop + 2)...]
        return value
    }

    private mutating func takeTrailers(_ section: ArraySlice<UInt8>) {
        var rest = section
        while let feed = rest.firstIndex(of: 10) {
            guard feed > rest.startIndex, rest[feed - 1] == 13 else {
                end = .malformed
                return
            }
            let isLast = feed == rest.startIndex + 1
            rest = rest[(feed + 1)...]
            if isLast {
                if rest.startIndex > section.startIndex + 2 { trailers = Array(section[..<rest.startIndex]) }
                end = .finished(consumed: rest.startIndex)
                return
            }
        }
    }
}

/// What a `BodyDecoder` made of a body given in pieces: the caller's side of the contract.
struct DecodedBody: Equatable {
    var data: [UInt8] = []
    var trailers: [UInt8] = []
    var end = ChunkReference.End.incomplete

    /// - Parameter cuts: where the input is cut, ascending.
    init(_ input: [UInt8], _ framing: Framing, cuts: [Int]) {
        var decoder = BodyDecoder(framing)
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: max(input.count, 1), alignment: 1)
        defer { memory.deallocate() }
        var start = 0
        var arrived = 0
        for cut in cuts + [input.count] {
            memory[arrived..<cut].copyBytes(from: input[arrived..<cut])
            arrived = cut
            let step = decoder.decode(memory.baseAddress!, from: start, to: cut)
            precondition(step.consumed >= start && step.consumed <= cut, "consumed lies outside the input")
            precondition(step.dataStart >= start && step.dataEnd >= step.dataStart && step.dataEnd <= step.consumed)
            precondition(step.isFinished == decoder.isFinished)
            data += memory[step.dataStart..<step.dataEnd]
            start = step.consumed
            if step.error != nil {
                end = .malformed
                return
            }
            if step.isFinished {
                precondition(step.trailers.isEmpty || step.trailers.start >= step.dataEnd && step.trailers.end == start)
                trailers = Array(memory[Int(step.trailers.start)..<step.trailers.end])
                end = .finished(consumed: step.consumed)
                return
            }
        }
    }

    func agrees(with reference: ChunkReference) -> Bool {
        switch (end, reference.end) {
        case (.malformed, .malformed): reference.data.starts(with: data)
        default: end == reference.end && data == reference.data && trailers == reference.trailers
        }
    }
}
