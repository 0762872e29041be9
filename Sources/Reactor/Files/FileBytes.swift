import CLinux
import Glibc

/// Whole small files.
public enum FileBytes {
    /// Reads the file; one larger than `limit` bytes is an error (`EFBIG`), and a pipe that nobody writes is empty.
    public static func read(_ path: String, limit: Int) throws(SystemError) -> [UInt8] {
        let fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard fd >= 0 else { throw SystemError("open", errno) }
        defer { close(fd) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            switch retrying({ Glibc.read(fd, &chunk, chunk.count) }) {
            case .count(0): return bytes
            case .count(let count): bytes += chunk[..<count]
            case .wouldBlock: throw SystemError("read", EAGAIN)
            case .failed(let code): throw SystemError("read", code)
            }
            guard bytes.count <= limit else { throw SystemError("read", EFBIG) }
        }
    }

    /// Replaces the file in one step: written beside it, synced, renamed, and its folder synced. A reader sees the old
    /// or the new content, also after a power cut.
    ///
    /// - Parameter mode: permissions of the new file.
    public static func replace(_ path: String, _ bytes: [UInt8], mode: UInt32 = 0o644) throws(SystemError) {
        let temporary = "\(path).\(getpid()).new"
        let fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode)
        guard fd >= 0 else { throw SystemError("open", errno) }
        do throws(SystemError) {
            try writeAll(fd, bytes)
            guard fsync(fd) == 0 else { throw SystemError("fsync", errno) }
        } catch {
            close(fd)
            unlink(temporary)
            throw error
        }
        close(fd)
        guard rename(temporary, path) == 0 else {
            let code = errno
            unlink(temporary)
            throw SystemError("rename", code)
        }
        try syncFolder(of: path)
    }

    private static func syncFolder(of path: String) throws(SystemError) {
        let cut = path.lastIndex(of: "/")
        let folder = cut.map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
        let fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard fd >= 0 else { throw SystemError("open", errno) }
        defer { close(fd) }
        // Some file systems have no sync of folders.
        guard fsync(fd) == 0 || errno == EINVAL else { throw SystemError("fsync", errno) }
    }

    /// Removes the file, if it is there.
    public static func remove(_ path: String) { unlink(path) }

    /// Makes the directory, and those above it, where they are missing.
    public static func makeDirectory(_ path: String) throws(SystemError) {
        if mkdir(path, 0o755) == 0 || errno == EEXIST { return }
        let code = errno
        guard code == ENOENT, let cut = path.lastIndex(of: "/"), cut != path.startIndex else {
            throw SystemError("mkdir", code)
        }
        try makeDirectory(String(path[..<cut]))
        guard mkdir(path, 0o755) == 0 || errno == EEXIST else { throw SystemError("mkdir", errno) }
    }

    /// Removes the directory, if it is empty.
    public static func removeDirectory(_ path: String) { rmdir(path) }

    /// The names in a directory, sorted, without those that begin with a dot; more than `limit` are an error (`EFBIG`).
    public static func names(in path: String, limit: Int) throws(SystemError) -> [String] {
        guard let folder = opendir(path) else { throw SystemError("opendir", errno) }
        defer { closedir(folder) }
        var names: [String] = []
        while let entry = readdir(folder) {
            let capacity = MemoryLayout.size(ofValue: entry.pointee.d_name)
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: capacity) { String(cString: $0) }
            }
            if !name.hasPrefix(".") { names.append(name) }
            guard names.count <= limit else { throw SystemError("readdir", EFBIG) }
        }
        return names.sorted()
    }

    /// A new directory in the place for temporary files, for this user alone.
    public static func makeTemporaryDirectory(_ name: String) throws(SystemError) -> String {
        let parent = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
        var template = Array("\(parent)/\(name).XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw SystemError("mkdtemp", errno) }
        return template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
    }

    private static func writeAll(_ fd: Int32, _ bytes: [UInt8]) throws(SystemError) {
        var rest = bytes[...]
        while !rest.isEmpty {
            switch retrying({ rest.withUnsafeBytes { write(fd, $0.baseAddress, $0.count) } }) {
            case .count(let count): rest = rest.dropFirst(count)
            case .wouldBlock: throw SystemError("write", EAGAIN)
            case .failed(let code): throw SystemError("write", code)
            }
        }
    }
}
