import HTTPCodec
import NetAddress
public import Reactor

/// One worker's access log: JSON lines gathered in memory and written in blocks.
public final class AccessLog: Handler {
    private static let blockBytes = 64 << 10
    private static let flushNanoseconds: UInt64 = 200_000_000

    private let loop: EventLoop
    private let file: AppendFile
    private var block: [UInt8] = []
    private var isArmed = false
    /// Lines lost because the file did not take them.
    private var droppedBlocks: UInt64 = 0

    /// - Parameter path: `stdout`, or a file that is appended to.
    public init(path: String, on loop: EventLoop) throws(SystemError) {
        self.loop = loop
        file = try AppendFile(path)
        super.init()
        block.reserveCapacity(Self.blockBytes + 4096)
        loop.attach(self)
    }

    override public func deadlineReached() { flush() }

    func append(_ line: [UInt8]) {
        block += line
        if block.count >= Self.blockBytes { return flush() }
        guard !isArmed else { return }
        isArmed = true
        loop.setDeadline(self, after: Self.flushNanoseconds)
    }

    public func flush() {
        isArmed = false
        if !file.append(block) { droppedBlocks += 1 }
        block.removeAll(keepingCapacity: true)
    }
}

/// What the access log says of one exchange, gathered while its head is still there.
struct AccessLine {
    private static let textLimit = 512

    private var request: [UInt8] = []
    var error: StaticString?

    mutating func begin(_ head: RequestHead, _ base: UnsafeRawPointer) {
        request.removeAll(keepingCapacity: true)
        append(",\"method\":\"", head.methodRange.bytes(in: base))
        append("\",\"host\":\"", head.authority.bytes(in: base))
        append("\",\"target\":\"", head.target.bytes(in: base))
    }

    /// Targets and hosts are visible ASCII; only quotes and backslashes need care.
    private mutating func append(_ name: StaticString, _ value: UnsafeRawBufferPointer) {
        request += UnsafeBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount)
        for byte in value.prefix(Self.textLimit) {
            if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") { request.append(UInt8(ascii: "\\")) }
            request.append(byte)
        }
    }

    func end(
        _ log: AccessLog, _ peer: SocketAddress, _ status: Int, _ nanoseconds: UInt64, _ instance: SocketAddress?,
        _ retries: Int
    ) {
        var line = "{\"time\":\"\(RFC3339.text(WallClock.nowNanoseconds()))\",\"client\":\"\(peer)\""
        var tail = "\",\"status\":\(status),\"milliseconds\":\(nanoseconds / 1_000_000),\"retries\":\(retries)"
        if let instance { tail += ",\"instance\":\"\(instance)\"" }
        if let error { tail += ",\"error\":\"\(error)\"" }
        tail += "}\n"
        line.reserveCapacity(256)
        log.append(Array(line.utf8) + request + Array(tail.utf8))
    }
}
