import Configuration
import MeshCore
import NetAddress
import Reactor
import Registry

extension Node {
    /// Begins to watch; unlike a file, etcd may be away when meshd starts.
    func openEtcd(_ url: EtcdURL, _ index: Int) {
        let isFirst = vipRegistry == nil
        let source = EtcdSource(
            url,
            EtcdSource.Options(
                routingDomain: settings.routingDomain,
                holdNanoseconds: UInt64(settings.registryEmptyHoldSeconds * 1e9),
                seed: WallClock.nowNanoseconds(),
                vipRange: isFirst ? settings.vipRange : nil),
            on: loop,
            EtcdSource.Callbacks(
                event: { [unowned self] in received($0, from: index) },
                problem: { [unowned self] in problem($0, with: index) },
                warning: { Log.warning("catalogue", ["warning": $0.description]) },
                heard: { [unowned self] in
                    heard(index)
                    control.decided(url.description)
                },
                vips: { [unowned self] in agree(onVIPs: $0) },
                ports: { [unowned self] in agree(onPorts: $0) },
                drains: isFirst ? { [unowned self] in drains.registryOrders($0) } : { _ in }))
        sources.append(source)
        sourceStatus[index].etcd = source
        if isFirst {
            // From here on addresses are agreed on, not chosen here.
            vipRegistry = source
            control.agree(onVIPs: [:])
            control.agree(onPorts: [:])
        }
        if let image = serveKept(index) {
            source.restore(services: image.services, instances: image.instances)
            control.awaitDecision(on: sourceStatus[index].name)
            let age = sourceStatus[index].ageOnArrivalNanoseconds / 1_000_000_000
            Log.info(
                "the catalogue kept on disk is in force until the registry is read",
                ["registry": source.name, "age_seconds": "\(age)"])
        }
        if isFirst { present(in: url) { source.start() } } else { source.start() }
    }

    private func agree(onPorts changes: [String: UInt16?]) {
        control.agree(onPorts: changes)
        vipRegistry?.want(ports: control.compiler.wantedPorts, reserved: control.compiler.reservedPorts)
    }

    private func agree(onVIPs changes: [String: IPAddress?]) {
        control.agree(onVIPs: changes)
        vipRegistry?.want(vips: control.compiler.wantedVIPs)
    }
}
