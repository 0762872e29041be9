import CNGHTTP2
import HTTPCodec

/// Scratch space for the fields of one header block; nothing in it outlives the call that filled it. nghttp2 copies
/// what it is given and lower-cases names.
struct FieldVector {
    private static let limit = FieldTable.maximum + 8

    let fields: UnsafeMutablePointer<nghttp2_nv>
    private(set) var count = 0
    /// The digits of `:status`.
    private let digits: UnsafeMutablePointer<UInt8>

    init() {
        fields = .allocate(capacity: Self.limit)
        digits = .allocate(capacity: 3)
    }

    /// Frees the space; the holder calls it once.
    func deallocate() {
        fields.deallocate()
        digits.deallocate()
    }

    mutating func removeAll() { count = 0 }

    mutating func append(_ name: StaticString, _ value: UnsafeRawBufferPointer) {
        append(UnsafeRawBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount), value)
    }

    mutating func append(_ name: StaticString, _ value: StaticString) {
        append(name, UnsafeRawBufferPointer(start: value.utf8Start, count: value.utf8CodeUnitCount))
    }

    mutating func append(_ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) {
        guard count < Self.limit else { return }
        func pointer(_ bytes: UnsafeRawBufferPointer) -> UnsafeMutablePointer<UInt8> {
            let start = bytes.baseAddress ?? UnsafeRawPointer(digits)
            return UnsafeMutablePointer(mutating: start.assumingMemoryBound(to: UInt8.self))
        }
        (fields + count).initialize(
            to: nghttp2_nv(
                name: pointer(name), value: pointer(value), namelen: name.count, valuelen: value.count,
                flags: UInt8(NGHTTP2_NV_FLAG_NONE.rawValue)))
        count += 1
    }

    mutating func append(status: Int) {
        digits[0] = UInt8(truncatingIfNeeded: 48 + status / 100 % 10)
        digits[1] = UInt8(truncatingIfNeeded: 48 + status / 10 % 10)
        digits[2] = UInt8(truncatingIfNeeded: 48 + status % 10)
        append(":status", UnsafeRawBufferPointer(start: digits, count: 3))
    }

    /// The lines of a head or of trailers that may go on.
    mutating func append(_ table: FieldTable, from base: UnsafeRawPointer, omitting omitted: HeaderName? = nil) {
        for index in 0..<table.count where !table.fields[index].isDropped && table.fields[index].known != omitted {
            append(table.fields[index].name.bytes(in: base), table.fields[index].value.bytes(in: base))
        }
    }
}
