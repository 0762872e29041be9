import CLinux
import Glibc

/// Tells when a file's content may have changed, also when an editor replaces the file or its folder's link moves.
///
/// It watches the file's folder with inotify: a rename over the file, as editors and `ConfigMap` mounts do, leaves a
/// watch on the old inode behind. Changes within `quietNanoseconds` are told once.
public final class FileWatcher: Handler {
    private static let quietNanoseconds: UInt64 = 20_000_000
    /// A file that is written without a pause is told of this often.
    private static let longestWaitNanoseconds: UInt64 = 500_000_000
    private static let interest =
        IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_DELETE | IN_ATTRIB

    private let loop: EventLoop
    private let descriptor: Int32
    /// `nil`: every file of the folder.
    private let name: String?
    private let changed: () -> Void
    /// When the first change that was not yet told came.
    private var firstChange: UInt64?

    public convenience init(_ path: String, on loop: EventLoop, changed: @escaping () -> Void) throws(SystemError) {
        let cut = path.lastIndex(of: "/")
        let name = cut.map { String(path[path.index(after: $0)...]) } ?? path
        let folder = cut.map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
        try self.init(folder, name, loop, changed)
    }

    /// Watches all files of a folder.
    public convenience init(folder: String, on loop: EventLoop, changed: @escaping () -> Void) throws(SystemError) {
        try self.init(folder, nil, loop, changed)
    }

    private init(
        _ folder: String, _ name: String?, _ loop: EventLoop, _ changed: @escaping () -> Void
    ) throws(SystemError) {
        self.loop = loop
        self.changed = changed
        self.name = name
        descriptor = inotify_init1(Int32(IN_NONBLOCK | IN_CLOEXEC))
        guard descriptor >= 0 else { throw SystemError("inotify_init1", errno) }
        super.init()
        guard inotify_add_watch(descriptor, folder, UInt32(Self.interest)) >= 0 else {
            throw SystemError("inotify_add_watch", errno)
        }
        try loop.attach(self, descriptor: descriptor)
    }

    deinit { close(descriptor) }

    public func stop() { loop.detach(self) }

    override public func ready(_ readiness: Readiness) {
        var concerned = false
        withUnsafeTemporaryAllocation(byteCount: 4096, alignment: 8) { buffer in
            while case .count(let count) = retrying({ read(descriptor, buffer.baseAddress, buffer.count) }), count > 0 {
                concerned = concerned || mentions(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
            }
        }
        guard concerned else { return }
        let first = firstChange ?? loop.nowNanoseconds
        firstChange = first
        let latest = first &+ Self.longestWaitNanoseconds
        loop.setDeadline(self, at: min(loop.nowNanoseconds &+ Self.quietNanoseconds, latest))
    }

    override public func deadlineReached() {
        firstChange = nil
        changed()
    }

    /// Whether an event in the kernel's list names the file, or the list overflowed, or a link beside it moved.
    private func mentions(_ list: UnsafeRawBufferPointer) -> Bool {
        guard let name else { return true }
        var offset = 0
        let headerSize = MemoryLayout<inotify_event>.size
        while offset + headerSize <= list.count {
            let event = list.loadUnaligned(fromByteOffset: offset, as: inotify_event.self)
            let start = offset + headerSize
            let text = String(
                decoding: list[start..<min(start + Int(event.len), list.count)].prefix { $0 != 0 }, as: UTF8.self)
            if event.mask & UInt32(IN_Q_OVERFLOW) != 0 || text == name || text.hasPrefix("..data") { return true }
            offset = start + Int(event.len)
        }
        return false
    }
}
