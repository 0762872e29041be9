// Sources: HTTPCodec

private struct Decoded: Equatable {
    var data: [UInt8] = []
    var consumed = 0
    var isFinished = false
    var isMalformed = false
}

/// A chunked body: however it is cut, the same data must come out.
@c(LLVMFuzzerTestOneInput)
public func fuzz(_ data: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let input = Array(UnsafeBufferPointer(start: data, count: count))
    let whole = decode(input, stride: max(count, 1))
    for stride in [1, 3, 1 + count / 2] {
        let cut = decode(input, stride: stride)
        if whole.isMalformed {
            // Some of the data may have gone on before the fault came.
            precondition(cut.isMalformed && cut.data == whole.data)
        } else {
            precondition(cut == whole)
        }
    }
    return 0
}

private func decode(_ input: [UInt8], stride: Int) -> Decoded {
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: max(input.count, 1), alignment: 1)
    defer { memory.deallocate() }
    var decoder = BodyDecoder(.chunked)
    var decoded = Decoded()
    var arrived = 0
    repeat {
        let end = min(input.count, arrived + stride)
        memory[arrived..<end].copyBytes(from: input[arrived..<end])
        arrived = end
        let step = decoder.decode(memory.baseAddress!, from: decoded.consumed, to: end)
        precondition(step.dataStart >= decoded.consumed && step.dataEnd <= step.consumed && step.consumed <= end)
        decoded.data += memory[step.dataStart..<step.dataEnd]
        decoded.consumed = step.consumed
        decoded.isFinished = step.isFinished
        decoded.isMalformed = step.error != nil
    } while arrived < input.count && !decoded.isFinished && !decoded.isMalformed
    return decoded
}
