/// Signals as engines and images name them: a number, or a name with or without `SIG`, as Linux numbers them.
enum DockerSignal {
    static let kill = 9
    static let terminate = 15

    private static let names = [
        "HUP": 1, "INT": 2, "QUIT": 3, "ILL": 4, "TRAP": 5, "ABRT": 6, "IOT": 6, "BUS": 7, "FPE": 8, "KILL": 9,
        "USR1": 10, "SEGV": 11, "USR2": 12, "PIPE": 13, "ALRM": 14, "TERM": 15, "STKFLT": 16, "CHLD": 17, "CLD": 17,
        "CONT": 18, "STOP": 19, "TSTP": 20, "TTIN": 21, "TTOU": 22, "URG": 23, "XCPU": 24, "XFSZ": 25, "VTALRM": 26,
        "PROF": 27, "WINCH": 28, "IO": 29, "POLL": 29, "PWR": 30, "SYS": 31, "RTMIN": 34, "RTMAX": 64,
    ]

    /// 1...64; `nil`: it is none.
    static func number(_ text: String) -> Int? {
        if let number = Int(text) { return (1...64).contains(number) ? number : nil }
        let upper = text.uppercased()
        let name = upper.hasPrefix("SIG") ? upper.dropFirst(3) : upper[...]
        if let number = names[String(name)] { return number }
        // RTMIN+3, RTMAX-3.
        guard let sign = name.firstIndex(where: { $0 == "+" || $0 == "-" }), let offset = Int(name[sign...]),
            let base = names[String(name[..<sign])], base >= 34, (-30...30).contains(offset)
        else { return nil }
        return (34...64).contains(base + offset) ? base + offset : nil
    }
}
