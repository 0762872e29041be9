/// What one listener of one worker serves now. Its connections hold it, so that they follow a change of the listener
/// and never reach a pool whose id was given to another service.
public final class PortBinding {
    private var poolID: Int32 = -1
    private var web = false
    private var relay = false
    private var secure = false

    /// The port that is listened on.
    public let port: UInt16

    public init(_ role: ListenerPlan.Role, port: UInt16) {
        self.port = port
        serve(role)
    }

    public func serve(_ role: ListenerPlan.Role) {
        secure = role == .secureWeb
        web = role == .web || secure
        if case .relay = role { relay = true } else { relay = false }
        switch role {
        case .web, .secureWeb: poolID = -1
        case .http(let pool), .relay(let pool), .datagrams(let pool): poolID = pool
        }
    }

    /// The listener is gone; connections that live on find no pool.
    public func retire() {
        poolID = -1
        web = false
    }

    /// Whether Host and path choose the pool.
    public var isWeb: Bool { web }

    /// Whether clients speak TLS, which ends here.
    public var isSecure: Bool { secure }

    /// Whether bytes are relayed as they are.
    public var isRelay: Bool { relay }

    /// The pool of a listener that serves one port; -1: none.
    public var pool: Int32 { poolID }
}
