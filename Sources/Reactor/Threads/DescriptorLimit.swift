import CLinux
import Glibc

/// RLIMIT_NOFILE.
public enum DescriptorLimit {
    /// Raises the soft limit to the hard one and returns what is in force.
    public static func raise() -> Int {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return 1024 }
        let soft = limit.rlim_cur
        limit.rlim_cur = limit.rlim_max
        if setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) != 0 { limit.rlim_cur = soft }
        return Int(min(limit.rlim_cur, 1 << 30))
    }
}
