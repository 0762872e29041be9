import Reactor

/// `meshd demo [--once]`: the whole product on loopback, as an ordinary user.
enum DemoCommand {
    static func run(_ arguments: [String]) -> Int32 {
        guard arguments.isEmpty || arguments == ["--once"] else {
            return Commands.complain("usage: meshd demo [--once]")
        }
        do {
            let signals = try Signals(RunCommand.endSignals)
            let loop = try EventLoop()
            let demo = try Demo(on: loop, once: !arguments.isEmpty)
            try signals.open(on: loop) { _ in demo.stop() }
            try demo.start()
            loop.run()
            return demo.exitStatus
        } catch {
            return Commands.fail("meshd demo: \(error)")
        }
    }
}
