/// What becomes of a request on its way: a view into the table that gave it, good for as long as that lives.
public struct RouteAction {
    public enum Redirect {
        case https(port: UInt16)
        case location(UnsafeRawBufferPointer)
        case locationWithTarget(UnsafeRawBufferPointer)
    }

    /// Octets that the path loses where it begins with them.
    let strip: UnsafeRawBufferPointer
    /// Octets that come before the rest of the path.
    public let insert: UnsafeRawBufferPointer
    public let redirect: Redirect?
    /// 0: one that fits the method.
    public let redirectStatus: Int
    public let transportSecurity: TransportSecurity?

    public var rewritesPath: Bool { !strip.isEmpty || !insert.isEmpty }

    /// Octets to leave out at the start of this path: the whole prefix in whole segments, or none.
    public func stripped(_ path: UnsafeRawBufferPointer) -> Int {
        let count = strip.count
        guard path.count >= count else { return 0 }
        for index in 0..<count where path[index] != strip[index] { return 0 }
        let isWhole = path.count == count || path[count] == UInt8(ascii: "/") || path[count] == UInt8(ascii: "?")
        return isWhole ? count : 0
    }
}

/// A `RouteTransform` in flat memory.
struct FlatAction: BitwiseCopyable {
    enum Place: UInt8, BitwiseCopyable { case none, https, location, locationWithTarget }

    var strip = TextRange()
    var insert = TextRange()
    var place = Place.none
    var location = TextRange()
    var port: UInt16 = 443
    var status: UInt16 = 0
    var hasTransportSecurity = false
    var transportSecurity = TransportSecurity(maxAge: 0)

    init(_ transform: RouteTransform, _ text: inout [UInt8]) {
        if let prefix = transform.stripPrefix { strip = TextRange(prefix, &text) }
        insert = TextRange(transform.insertPrefix, &text)
        if let redirect = transform.redirect {
            status = UInt16(clamping: redirect.status ?? 0)
            switch redirect.place {
            case .https(let port): (place, self.port) = (.https, port)
            case .location(let url): (place, location) = (.location, TextRange(url, &text))
            case .locationWithTarget(let url): (place, location) = (.locationWithTarget, TextRange(url, &text))
            }
        }
        if let policy = transform.transportSecurity {
            (hasTransportSecurity, transportSecurity) = (true, policy)
        }
    }

    func view(_ text: UnsafePointer<UInt8>) -> RouteAction {
        let redirect: RouteAction.Redirect? =
            switch place {
            case .none: nil
            case .https: .https(port: port)
            case .location: .location(location.bytes(text))
            case .locationWithTarget: .locationWithTarget(location.bytes(text))
            }
        return RouteAction(
            strip: strip.bytes(text), insert: insert.bytes(text), redirect: redirect, redirectStatus: Int(status),
            transportSecurity: hasTransportSecurity ? transportSecurity : nil)
    }
}
