import CLinux
import Glibc
import NetAddress

/// Datagrams received in one call, and sent on in one call from the same memory. One loop's flows share it: nothing in
/// it outlives the turn.
public final class DatagramBatch {
    /// Datagrams of one call.
    public static let capacity = 32
    /// No datagram is longer.
    private static let slotBytes = 65_536

    private let bytes: UnsafeMutableRawPointer
    private let names: UnsafeMutablePointer<sockaddr_storage>
    private let controls: UnsafeMutablePointer<DatagramControl>
    private let vectors: UnsafeMutablePointer<iovec>
    private let messages: UnsafeMutablePointer<meshd_mmsghdr>

    public init() {
        // Pages that no datagram reaches cost nothing.
        bytes = .allocate(byteCount: Self.capacity * Self.slotBytes, alignment: 64)
        names = .allocate(capacity: Self.capacity)
        names.initialize(repeating: sockaddr_storage(), count: Self.capacity)
        controls = .allocate(capacity: Self.capacity)
        controls.initialize(repeating: DatagramControl(), count: Self.capacity)
        vectors = .allocate(capacity: Self.capacity)
        vectors.initialize(repeating: iovec(), count: Self.capacity)
        messages = .allocate(capacity: Self.capacity)
        messages.initialize(repeating: meshd_mmsghdr(), count: Self.capacity)
    }

    deinit {
        bytes.deallocate()
        names.deallocate()
        controls.deallocate()
        vectors.deallocate()
        messages.deallocate()
    }

    /// Receives what is there, at most `capacity` datagrams; the result's count is their number.
    public func receive(from socket: Socket) -> IOResult {
        for index in 0..<Self.capacity {
            vectors[index] = iovec(iov_base: bytes + index * Self.slotBytes, iov_len: Self.slotBytes)
            var header = msghdr()
            header.msg_name = UnsafeMutableRawPointer(names + index)
            header.msg_namelen = socklen_t(MemoryLayout<sockaddr_storage>.size)
            header.msg_iov = vectors + index
            header.msg_iovlen = 1
            header.msg_control = UnsafeMutableRawPointer(controls + index)
            header.msg_controllen = MemoryLayout<DatagramControl>.size
            messages[index] = meshd_mmsghdr(header: header, length: 0)
        }
        let result = meshd_recvmmsg(socket.descriptor, messages, UInt32(Self.capacity))
        return IOResult(countOrMinusError: Int(result))
    }

    /// Bytes of a received datagram.
    public func length(_ index: Int) -> Int { Int(messages[index].length) }

    /// How a received datagram came; `nil`: from no IP address.
    public func path(_ index: Int) -> DatagramPath? {
        guard let peer = SocketAddress(names[index]) else { return nil }
        let used = min(Int(messages[index].header.msg_controllen), MemoryLayout<DatagramControl>.size)
        return DatagramPath(
            peer, DatagramControl.destination(UnsafeRawBufferPointer(start: controls + index, count: used)))
    }

    /// Sends received datagrams on, to the peer of a connected socket; the result's count is the number that went out.
    public func send(_ range: Range<Int>, through socket: Socket) -> IOResult {
        send(range, through: socket, name: nil, 0, control: nil, 0)
    }

    /// Sends received datagrams back along `path`.
    public func send(_ range: Range<Int>, through socket: Socket, along path: DatagramPath) -> IOResult {
        var control = DatagramControl()
        let length = path.local.map { control.setSource($0, interface: path.interface) } ?? 0
        return withUnsafeMutablePointer(to: &control) { control in
            path.peer.withSockaddr { name, nameLength in
                send(range, through: socket, name: name, nameLength, control: length > 0 ? control : nil, length)
            }
        }
    }

    private func send(
        _ range: Range<Int>, through socket: Socket, name: UnsafePointer<sockaddr>?, _ nameLength: socklen_t,
        control: UnsafeMutablePointer<DatagramControl>?, _ controlLength: Int
    ) -> IOResult {
        for index in range {
            vectors[index].iov_len = length(index)
            var header = msghdr()
            header.msg_name = UnsafeMutableRawPointer(mutating: name)
            header.msg_namelen = nameLength
            header.msg_iov = vectors + index
            header.msg_iovlen = 1
            header.msg_control = UnsafeMutableRawPointer(control)
            header.msg_controllen = controlLength
            messages[index].header = header
        }
        var sent = 0
        while sent < range.count {
            let rest = UInt32(range.count - sent)
            // The kernel writes what it sent into `length`: the same number.
            let result = meshd_sendmmsg(socket.descriptor, messages + range.lowerBound + sent, rest)
            guard result > 0 else {
                // What came before has gone out; the next call meets the error again.
                return sent > 0 ? .count(sent) : IOResult(countOrMinusError: result == 0 ? -Int(EAGAIN) : Int(result))
            }
            sent += Int(result)
        }
        return .count(sent)
    }
}
