import CSystemd
import Glibc
import Reactor

/// Log lines as entries of the system journal, each field one of its own (systemd.journal-fields(7)).
enum Journal {
    /// Takes over the log where standard error leads to the journal: `JOURNAL_STREAM` names its device and inode
    /// (systemd.exec(5)). A line the journal does not take goes to standard error.
    static func takeOverLog() {
        let stream = Process.environment("JOURNAL_STREAM")
        guard stream != nil, stream == Process.standardErrorIdentity else { return }
        Log.setSink { level, message, fields in write(entry(level, message, fields)) }
    }

    /// `MESSAGE` for people, `MESHD_EVENT` and `MESHD_KEY` for programs.
    private static func entry(
        _ level: Log.Level, _ message: String, _ fields: KeyValuePairs<String, String>
    ) -> [String] {
        let pairs = fields.map { " \($0.key)=\($0.value)" }.joined()
        return ["MESSAGE=\(message)\(pairs)", "PRIORITY=\(priority(level))", "SYSLOG_IDENTIFIER=meshd"]
            + ["MESHD_EVENT=\(message)"] + fields.map { "MESHD_\(name($0.key))=\($0.value)" }
    }

    /// syslog(3).
    private static func priority(_ level: Log.Level) -> Int {
        switch level {
        case .error: 3
        case .warning: 4
        case .info: 6
        case .debug: 7
        }
    }

    /// Capital letters, digits and `_`; the whole name has at most 64 bytes.
    private static func name(_ key: String) -> String {
        String(
            decoding: key.uppercased().utf8.prefix(56).map {
                (0x41...0x5a).contains($0) || (0x30...0x39).contains($0) ? $0 : UInt8(ascii: "_")
            }, as: UTF8.self)
    }

    private static func write(_ fields: [String]) -> Bool {
        let ends = fields.reduce(into: [0]) { $0.append(($0.last ?? 0) + $1.utf8.count) }
        return withUnsafeTemporaryAllocation(of: iovec.self, capacity: fields.count) { vectors in
            withUnsafeTemporaryAllocation(byteCount: ends.last ?? 0, alignment: 1) { bytes in
                bytes.copyBytes(from: fields.joined().utf8)
                for index in fields.indices {
                    let part = UnsafeMutableRawBufferPointer(rebasing: bytes[ends[index]..<ends[index + 1]])
                    vectors.initializeElement(at: index, to: iovec(iov_base: part.baseAddress, iov_len: part.count))
                }
                return sd_journal_sendv(vectors.baseAddress, Int32(vectors.count)) == 0
            }
        }
    }
}
