import CLinux
import Glibc

public enum Processors {
    /// Processors this process may use, at least 1: those of its affinity (`taskset`, cpusets), and no more than its
    /// control group's quota of time makes up (`cpu.max` of cgroup v2), rounded up.
    public static var available: Int {
        let affinity = Int(meshd_affinity())
        let online = Int(sysconf(Int32(_SC_NPROCESSORS_ONLN)))
        let usable = affinity > 0 ? affinity : online
        return max(1, min(usable, quota ?? usable))
    }

    /// The smallest quota of the group and those above it; `nil` where none is set.
    private static var quota: Int? {
        guard let bytes = try? FileBytes.read("/proc/self/cgroup", limit: 64 << 10) else { return nil }
        let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n")
        guard let line = lines.first(where: { $0.hasPrefix("0::/") }) else { return nil }
        var group = line.dropFirst(3)
        var smallest: Int?
        while !group.isEmpty {
            if let text = try? FileBytes.read("/sys/fs/cgroup\(group)/cpu.max", limit: 4096),
                let processors = processors(cpuMax: String(decoding: text, as: UTF8.self))
            {
                smallest = min(smallest ?? processors, processors)
            }
            group = group[..<(group.lastIndex(of: "/") ?? group.startIndex)]
        }
        return smallest
    }

    /// The processors that a `cpu.max` of `QUOTA PERIOD` makes up, rounded up; `nil` for `max` and anything else.
    static func processors(cpuMax text: String) -> Int? {
        let parts = text.split(whereSeparator: { $0 == " " || $0 == "\n" })
        guard parts.count == 2, let quota = Int(parts[0]), let period = Int(parts[1]), quota > 0, period > 0 else {
            return nil
        }
        return quota / period + (quota % period > 0 ? 1 : 0)
    }
}
