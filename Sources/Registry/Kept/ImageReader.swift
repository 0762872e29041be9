import NetAddress

/// Why the bytes of an image are not taken.
struct ImageFault: Error {
    let message: String
    init(_ message: String) { self.message = message }
}

/// Reads what `ImageWriter` wrote. Whatever the bytes are, it reads within them or throws.
struct ImageReader {
    private var rest: ArraySlice<UInt8>

    init(_ bytes: ArraySlice<UInt8>) { rest = bytes }

    var isAtEnd: Bool { rest.isEmpty }

    mutating func byte() throws(ImageFault) -> UInt8 {
        guard let byte = rest.popFirst() else { throw ImageFault("it ends too early") }
        return byte
    }

    mutating func flag() throws(ImageFault) -> Bool {
        switch try byte() {
        case 0: return false
        case 1: return true
        default: throw ImageFault("a flag is neither 0 nor 1")
        }
    }

    mutating func number() throws(ImageFault) -> UInt64 {
        var value: UInt64 = 0
        for shift in stride(from: UInt64(0), to: 64, by: 7) {
            let byte = try byte()
            guard shift < 63 || byte <= 1 else { break }
            value |= UInt64(byte & 0x7f) << shift
            if byte < 0x80 { return value }
        }
        throw ImageFault("a number is too large")
    }

    mutating func number(in range: ClosedRange<Int>) throws(ImageFault) -> Int {
        guard let value = Int(exactly: try number()), range.contains(value) else {
            throw ImageFault("a number is out of its range")
        }
        return value
    }

    mutating func port() throws(ImageFault) -> UInt16 { UInt16(try number(in: 0...65_535)) }

    mutating func fixed() throws(ImageFault) -> UInt64 {
        guard rest.count >= 8 else { throw ImageFault("it ends too early") }
        let value = rest.prefix(8).reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        rest = rest.dropFirst(8)
        return value
    }

    mutating func double(in range: ClosedRange<Double>) throws(ImageFault) -> Double {
        let value = Double(bitPattern: try fixed())
        guard range.contains(value) else { throw ImageFault("a number is out of its range") }
        return value
    }

    mutating func address() throws(ImageFault) -> IPAddress {
        let high = try fixed()
        return IPAddress(high: high, low: try fixed())
    }

    mutating func text() throws(ImageFault) -> String {
        let count = try number(in: 0...rest.count)
        guard let text = String(validating: rest.prefix(count), as: UTF8.self) else { throw ImageFault("no UTF-8") }
        rest = rest.dropFirst(count)
        return text
    }

    /// One of an enumeration's values by its text.
    mutating func one<T: RawRepresentable<String>>(of type: T.Type) throws(ImageFault) -> T {
        guard let value = T(rawValue: try text()) else { throw ImageFault("a word is not known") }
        return value
    }

    mutating func optional<T>(_ read: (inout ImageReader) throws(ImageFault) -> T) throws(ImageFault) -> T? {
        try flag() ? try read(&self) : nil
    }

    mutating func optionalText() throws(ImageFault) -> String? {
        try optional { reader throws(ImageFault) in try reader.text() }
    }

    mutating func rootedPath() throws(ImageFault) -> String {
        let path = try text()
        guard path.hasPrefix("/") else { throw ImageFault("a path does not begin with /") }
        return path
    }

    /// As many values as are said to follow; each takes a byte at least.
    mutating func all<T>(_ read: (inout ImageReader) throws(ImageFault) -> T) throws(ImageFault) -> [T] {
        let count = try number(in: 0...rest.count)
        var values: [T] = []
        for _ in 0..<count { values.append(try read(&self)) }
        return values
    }
}
