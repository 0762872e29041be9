// Sources: NetAddress

/// A PROXY header: a verdict stands whatever follows, and what is read can be written and read again.
@c(LLVMFuzzerTestOneInput)
public func fuzz(_ data: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let input = UnsafeRawBufferPointer(start: data, count: count)
    let whole = ProxyHeader.parse(input)
    for cut in [1, count / 3, count / 2, count - 1] where (1..<max(count, 1)).contains(cut) {
        let parsed = ProxyHeader.parse(UnsafeRawBufferPointer(rebasing: input[..<cut]))
        precondition(parsed == .incomplete || parsed == whole)
    }
    guard case .header(let header, let length) = whole else { return 0 }
    precondition(length <= count)
    for version in ProxyVersion.allCases {
        let bytes = header.bytes(version)
        precondition(bytes.withUnsafeBytes { ProxyHeader.parse($0) } == .header(header, length: bytes.count))
    }
    return 0
}
