import COpenSSL
import Glibc

/// OpenSSL's door to a socket: its reads and writes are ours, so that a layer knows when the kernel has no more and
/// can say that more follows.
enum SocketBIO {
    /// Made once; `nil` where there was no memory for it.
    private nonisolated(unsafe) static let method: OpaquePointer? = {
        guard let method = BIO_meth_new(BIO_get_new_index() | meshd_bio_kind, "socket") else { return nil }
        BIO_meth_set_read_ex(method) { bio, buffer, capacity, count in
            guard let bio, let buffer, let count else { return 0 }
            return SocketBIO.read(bio, buffer, capacity, count)
        }
        BIO_meth_set_write_ex(method) { bio, bytes, length, count in
            guard let bio, let bytes, let count else { return 0 }
            return SocketBIO.write(bio, bytes, length, count)
        }
        BIO_meth_set_ctrl(method) { bio, command, _, _ in
            switch command {
            case BIO_CTRL_FLUSH: return 1
            case BIO_CTRL_EOF:
                guard let bio else { return 1 }
                return SocketBIO.layer(bio)._withUnsafeGuaranteedRef { $0.sawEnd } ? 1 : 0
            default: return 0
            }
        }
        return method
    }()

    /// A BIO that speaks for `layer`, which outlives it.
    static func make(_ layer: TLSLayer) -> OpaquePointer? {
        guard let method, let bio = BIO_new(method) else { return nil }
        BIO_set_data(bio, Unmanaged.passUnretained(layer).toOpaque())
        BIO_set_init(bio, 1)
        return bio
    }

    @inline(__always)
    private static func layer(_ bio: OpaquePointer) -> Unmanaged<TLSLayer> { .fromOpaque(BIO_get_data(bio)) }

    private static func read(
        _ bio: OpaquePointer, _ buffer: UnsafeMutablePointer<CChar>, _ capacity: Int, _ count: UnsafeMutablePointer<Int>
    ) -> Int32 {
        layer(bio)._withUnsafeGuaranteedRef { layer in
            BIO_clear_flags(bio, meshd_bio_flags)
            switch layer.fetch(buffer, capacity) {
            case .count(let received):
                count.pointee = received
                return received > 0 ? 1 : 0
            case .wouldBlock: BIO_set_flags(bio, BIO_FLAGS_READ | BIO_FLAGS_SHOULD_RETRY)
            case .failed: break
            }
            return 0
        }
    }

    private static func write(
        _ bio: OpaquePointer, _ bytes: UnsafePointer<CChar>, _ length: Int, _ count: UnsafeMutablePointer<Int>
    ) -> Int32 {
        layer(bio)._withUnsafeGuaranteedRef { layer in
            BIO_clear_flags(bio, meshd_bio_flags)
            switch layer.put(bytes, length) {
            case .count(let sent):
                count.pointee = sent
                return 1
            case .wouldBlock: BIO_set_flags(bio, BIO_FLAGS_WRITE | BIO_FLAGS_SHOULD_RETRY)
            case .failed: break
            }
            return 0
        }
    }
}
