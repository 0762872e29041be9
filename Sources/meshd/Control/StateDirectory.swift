import MeshCore
import NetAddress
import Reactor

/// What a node keeps over a restart: the services' VIPs, one `NAME ADDRESS` a line.
struct StateDirectory {
    private let path: String
    private var written: [String: IPAddress] = [:]

    /// Makes the directory where it is missing.
    init(_ directory: String) throws(SystemError) {
        try FileBytes.makeDirectory(directory)
        path = directory + "/vips"
    }

    /// The addresses of the last run. A file that is missing, or a line that is not as it should be, gives nothing.
    mutating func load() -> [String: IPAddress] {
        guard let bytes = try? FileBytes.read(path, limit: 16 << 20) else { return [:] }
        var vips: [String: IPAddress] = [:]
        for line in bytes.split(separator: UInt8(ascii: "\n")) {
            let parts = String(decoding: line, as: UTF8.self).split(separator: " ")
            guard parts.count == 2, let address = IPAddress(parts[1]) else {
                Log.warning("line ignored", ["file": path, "line": String(decoding: line, as: UTF8.self)])
                continue
            }
            vips[String(parts[0])] = address
        }
        written = vips
        return vips
    }

    /// Writes the addresses if they changed; a failure is logged and tried again with the next change.
    mutating func save(_ vips: [String: IPAddress]) {
        guard vips != written else { return }
        let text = vips.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)\n" }.joined()
        do throws(SystemError) {
            try FileBytes.replace(path, Array(text.utf8))
            written = vips
        } catch {
            Log.error("cannot write state", ["file": path, "cause": "\(error)"])
        }
    }
}
