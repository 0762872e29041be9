/// What of a request chooses its route.
public struct RouteRequest {
    /// Without port, in any case; one final dot is ignored.
    public var host: UnsafeRawBufferPointer
    /// With its query.
    public var path: UnsafeRawBufferPointer
    public var method: UnsafeRawBufferPointer
    /// Of the Host header; 0: none.
    public var port: UInt16
    /// It came over TLS.
    public var isSecure: Bool

    public init(
        host: UnsafeRawBufferPointer, path: UnsafeRawBufferPointer,
        method: UnsafeRawBufferPointer = UnsafeRawBufferPointer(start: nil, count: 0), port: UInt16 = 0,
        isSecure: Bool = false
    ) {
        self.host = host
        self.path = path
        self.method = method
        self.port = port
        self.isSecure = isSecure
    }

    /// The same over TLS.
    public var overTLS: RouteRequest {
        var copy = self
        copy.isSecure = true
        return copy
    }

    /// Gives the value of the next header field of a name, given in any case, from `index` on, and moves `index`
    /// behind it.
    public typealias NextField = (_ name: UnsafeRawBufferPointer, _ index: inout Int) -> UnsafeRawBufferPointer?

    /// Octets of the path before its query.
    var pathLength: Int {
        var length = 0
        while length < path.count, path[length] != UInt8(ascii: "?") { length += 1 }
        return length
    }
}
