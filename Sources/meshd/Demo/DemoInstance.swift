import NetAddress
import Reactor

/// One small instance inside the demo's process.
final class DemoInstance {
    let name: String
    let address: SocketAddress
    private let server: SmallServer
    private(set) var isRunning = true

    init(_ name: String, on loop: EventLoop) throws {
        self.name = name
        let socket = try Socket.listen(SocketAddress(.loopbackV4, 0), shared: false)
        server = try SmallServer(socket, on: loop) { request, answer in
            answer(
                SmallResponse(
                    headers: "X-Instance: \(name)\r\n", body: "\(name) answers \(request.host)\(request.path)\n"))
        }
        guard let address = server.address else { throw StartFailure(message: "an instance has no address") }
        self.address = address
    }

    func stop() {
        guard isRunning else { return }
        isRunning = false
        server.close()
    }
}
