import MeshCore
import NetAddress
import Reactor

/// What a node keeps over a restart beside `KeptCatalogues`: the services' VIPs, one `NAME ADDRESS` a line, the weights
/// in force, one `NAME WEIGHT` a line, and the numbers chosen for published ports, one
/// `SERVICE/CONTAINER-PORT/PROTOCOL PORT` a line.
struct StateDirectory {
    private let path: String
    private let weightPath: String
    private let portPath: String
    private var written: [String: IPAddress] = [:]
    private var writtenWeights: [String: Int] = [:]
    private var writtenPorts: [String: UInt16] = [:]

    /// Makes the directory where it is missing.
    init(_ directory: String) throws(SystemError) {
        try FileBytes.makeDirectory(directory)
        path = directory + "/vips"
        weightPath = directory + "/weights"
        portPath = directory + "/ports"
    }

    /// The addresses of the last run. A file that is missing, or a line that is not as it should be, gives nothing.
    mutating func load() -> [String: IPAddress] {
        written = Self.read(path) { IPAddress($0) }
        return written
    }

    /// The weights that were in force in the last run.
    mutating func loadWeights() -> [String: Int] {
        writtenWeights = Self.read(weightPath) { Int($0).flatMap { (0...100).contains($0) ? $0 : nil } }
        return writtenWeights
    }

    /// The numbers that published ports had in the last run.
    mutating func loadPorts() -> [String: UInt16] {
        writtenPorts = Self.read(portPath) { UInt16(digits: $0) }
        return writtenPorts
    }

    private static func read<Value>(_ path: String, _ parse: (Substring) -> Value?) -> [String: Value] {
        guard let bytes = try? FileBytes.read(path, limit: 16 << 20) else { return [:] }
        var values: [String: Value] = [:]
        for line in bytes.split(separator: UInt8(ascii: "\n")) {
            let parts = String(decoding: line, as: UTF8.self).split(separator: " ")
            guard parts.count == 2, let value = parse(parts[1]) else {
                Log.warning("line ignored", ["file": path, "line": String(decoding: line, as: UTF8.self)])
                continue
            }
            values[String(parts[0])] = value
        }
        return values
    }

    /// Writes what changed; a failure is logged and tried again with the next change.
    mutating func save(_ vips: [String: IPAddress], weights: [String: Int], ports: [String: UInt16]) {
        if ports != writtenPorts, Self.write(ports, portPath) { writtenPorts = ports }
        if vips != written, Self.write(vips, path) { written = vips }
        if weights != writtenWeights, Self.write(weights, weightPath) { writtenWeights = weights }
    }

    private static func write(_ values: [String: some CustomStringConvertible], _ path: String) -> Bool {
        let text = values.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)\n" }.joined()
        do throws(SystemError) {
            try FileBytes.replace(path, Array(text.utf8))
            return true
        } catch {
            Log.error("cannot write state", ["file": path, "cause": "\(error)"])
            return false
        }
    }
}
