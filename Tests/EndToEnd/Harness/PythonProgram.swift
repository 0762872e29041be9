/// A program of `Tests/EndToEnd/Programs`: a real client or server of a protocol that the tests do not speak.
enum PythonProgram {
    static func start(_ name: String, _ arguments: [String] = [], files: String) throws -> ChildProcess {
        try ChildProcess("/usr/bin/python3", [path(name)] + arguments, files: files)
    }

    static func path(_ name: String) -> String {
        let folder = #filePath.split(separator: "/").dropLast(2).joined(separator: "/")
        return "/\(folder)/Programs/\(name)"
    }
}

extension ChildProcess {
    /// The output's first line, once it is whole.
    func firstLine(within seconds: Double = 15) throws -> String {
        try awaited(within: seconds, "the first line of process \(pid)") {
            if let end = output.firstIndex(of: "\n") { return String(output[..<end]) }
            if let status = poll() { throw Failure("it ended with \(status): \(errors)") }
            return nil
        }
    }
}
