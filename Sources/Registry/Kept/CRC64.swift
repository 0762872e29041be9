/// CRC-64 in its reflected ECMA-182 form, as in XZ: tells whether a file is as it was written.
enum CRC64 {
    private static let polynomial: UInt64 = 0xc96c_5795_d787_0f42

    private static let table: [UInt64] = (0..<256).map { index in
        (0..<8).reduce(UInt64(index)) { value, _ in value & 1 == 1 ? value >> 1 ^ polynomial : value >> 1 }
    }

    static func checksum(_ bytes: some Sequence<UInt8>) -> UInt64 {
        table.withUnsafeBufferPointer { table in
            ~bytes.reduce(~UInt64(0)) { $0 >> 8 ^ table[Int(truncatingIfNeeded: ($0 ^ UInt64($1)) & 0xff)] }
        }
    }
}
