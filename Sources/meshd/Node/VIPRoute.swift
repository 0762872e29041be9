import NetAddress
import Reactor

/// The local route that makes every address of the VIP range one of this node's, for as long as meshd runs.
struct VIPRoute {
    private let range: IPNetwork
    /// Whether it is ours to take away.
    private let isOwn: Bool

    /// Adds the route where it is missing. A range of loopback addresses needs none.
    init(_ range: IPNetwork) throws(StartFailure) {
        self.range = range
        guard !Self.isLoopback(range) else {
            isOwn = false
            return
        }
        do throws(SystemError) {
            isOwn = try Self.establish(range)
        } catch {
            let advice = Self.advice(error, range)
            throw StartFailure(message: "--vip-range \(range): cannot add the local route: \(error)\(advice)")
        }
    }

    private static func isLoopback(_ range: IPNetwork) -> Bool {
        range.base.isV4 && range.base.v4Bits >> 24 == 127 && range.prefixLength >= 8
    }

    private static func establish(_ range: IPNetwork) throws(SystemError) -> Bool {
        var table = try RouteTable()
        switch LocalRoute.step(for: range, among: try table.localRoutes(isV4: range.base.isV4)) {
        case .nothing: return false
        case .adopt:
            Log.info("local route of an earlier run taken over", ["range": "\(range)"])
            return true
        case .add:
            try table.add(range)
            Log.info("local route added", ["range": "\(range)"])
            return true
        }
    }

    private static func advice(_ error: SystemError, _ range: IPNetwork) -> String {
        if error.isPermission {
            return "; give meshd CAP_NET_ADMIN (AmbientCapabilities of its unit, or setcap cap_net_admin+ep for the "
                + "binary), or add the route before: ip route add local \(range) dev lo"
        }
        return error.isNetworkDown ? "; the interface lo is down: ip link set lo up" : ""
    }

    func remove() {
        guard isOwn else { return }
        do throws(SystemError) {
            var table = try RouteTable()
            try table.remove(range)
            Log.info("local route removed", ["range": "\(range)"])
        } catch {
            Log.error("local route not removed", ["range": "\(range)", "cause": "\(error)"])
        }
    }
}
