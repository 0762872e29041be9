import Glibc
import Testing

/// The unit files, read by systemd's own checks, which need no running service manager.
@Suite(.enabled(if: access("/usr/bin/systemd-analyze", X_OK) == 0, "needs the package systemd"))
struct PackagingTests {
    private static let folder = "/" + #filePath.split(separator: "/").dropLast(3).joined(separator: "/") + "/packaging"

    /// Copies of the units in a folder of its own, the binary being the one under test.
    private static func units() throws -> (TemporaryDirectory, [String]) {
        let directory = try TemporaryDirectory()
        let names = ["meshd.service", "meshd-http.socket", "meshd-admin.socket"]
        for name in names {
            let lines = TextFile.read("\(folder)/\(name)").split(separator: "\n", omittingEmptySubsequences: false)
            try demand(lines.count > 5, "\(name) is there")
            let text = lines.map { $0.replacingFirst("/usr/local/bin/meshd", with: Binary.path) }
            try TextFile.write(text.joined(separator: "\n"), to: "\(directory.path)/\(name)")
        }
        return (directory, names.map { "\(directory.path)/\($0)" })
    }

    private static func analyze(_ arguments: [String], _ directory: TemporaryDirectory) throws -> CommandResult {
        let child = try ChildProcess(
            "/usr/bin/systemd-analyze", ["--no-pager"] + arguments, files: directory.path + "/analyze")
        let status = try child.waitExit(within: 60)
        return CommandResult(status: status, output: child.output, errors: child.errors)
    }

    @Test func theUnitsAreWhole() throws {
        let (directory, paths) = try Self.units()
        let result = try Self.analyze(["verify"] + paths, directory)
        try demandEqual(result.status, 0, "verify: \(result.errors)")
        try demandEqual(result.errors, "", "complaints")
    }

    @Test func theServiceIsHardened() throws {
        let (directory, paths) = try Self.units()
        let result = try Self.analyze(["security", "--offline=true", "--threshold=20", paths[0]], directory)
        try demandEqual(result.status, 0, "exposure is 2.0 at the most: \(result.output.suffix(300))")
    }
}

extension Substring {
    fileprivate func replacingFirst(_ text: String, with other: String) -> String {
        guard let range = firstRange(of: text) else { return String(self) }
        return self[..<range.lowerBound] + other + self[range.upperBound...]
    }
}
