import Glibc

/// A source file of the repository, read as lines.
struct SourceFile: Sendable {
    /// From the repository's root: `Sources/Reactor/Log/Log.swift`.
    let path: String
    let lines: [String]
    /// The lines without comments and without what stands in string literals.
    let code: [String]

    init(path: String, text: String) {
        self.path = path
        lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        var stripper = CodeStripper()
        code = lines.map { stripper.strip($0) }
    }

    /// `Sources` or `Tests`.
    var root: String { String(path.prefix { $0 != "/" }) }

    var target: String { path.split(separator: "/").dropFirst().first.map(String.init) ?? "" }

    /// All Swift files below `Sources` and `Tests`.
    static let all: [SourceFile] = {
        let root = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(3).joined(separator: "/")
        return ["Sources", "Tests"].flatMap { swiftFiles(root, $0) }.map {
            SourceFile(path: $0, text: read("\(root)/\($0)"))
        }
    }()

    private static func swiftFiles(_ root: String, _ folder: String) -> [String] {
        guard let handle = opendir("\(root)/\(folder)") else { return [] }
        defer { closedir(handle) }
        var files: [String] = []
        while let entry = readdir(handle) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            guard !name.hasPrefix(".") else { continue }
            if name.hasSuffix(".swift") {
                files.append("\(folder)/\(name)")
            } else if Int32(entry.pointee.d_type) == Int32(DT_DIR) {
                files += swiftFiles(root, "\(folder)/\(name)")
            }
        }
        return files.sorted()
    }

    private static func read(_ path: String) -> String {
        guard let file = fopen(path, "r") else { return "" }
        defer { fclose(file) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 64 << 10)
        while case let count = fread(&chunk, 1, chunk.count, file), count > 0 { bytes += chunk[..<count] }
        return String(decoding: bytes, as: UTF8.self)
    }
}

/// Takes comments and string literals out of Swift code, line by line. Interpolations go with their literal.
struct CodeStripper {
    private var isInLongLiteral = false
    private var isInComment = false

    mutating func strip(_ line: String) -> String {
        let isPlain = !isInComment && !isInLongLiteral && !line.utf8.contains { $0 == 0x22 || $0 == 0x2f }
        if isPlain { return line }
        var code = ""
        var rest = Substring(line)
        while let character = rest.first {
            if isInComment {
                isInComment = !rest.hasPrefix("*/")
                rest = rest.dropFirst(isInComment ? 1 : 2)
            } else if rest.hasPrefix("\"\"\"") {
                isInLongLiteral.toggle()
                rest = rest.dropFirst(3)
            } else if isInLongLiteral {
                rest = rest.dropFirst(character == "\\" ? 2 : 1)
            } else if rest.hasPrefix("//") {
                break
            } else if rest.hasPrefix("/*") {
                isInComment = true
                rest = rest.dropFirst(2)
            } else if character == "\"" {
                rest = Self.behindLiteral(rest.dropFirst())
            } else {
                code.append(character)
                rest = rest.dropFirst()
            }
        }
        return code
    }

    /// What follows the quote that ends a literal whose contents `text` begins with.
    private static func behindLiteral(_ text: Substring) -> Substring {
        var rest = text
        while let character = rest.first {
            if rest.hasPrefix("\\(") {
                rest = behindInterpolation(rest.dropFirst(2))
            } else if character == "\"" {
                return rest.dropFirst()
            } else {
                rest = rest.dropFirst(character == "\\" ? 2 : 1)
            }
        }
        return rest
    }

    private static func behindInterpolation(_ text: Substring) -> Substring {
        var rest = text
        var depth = 1
        while let character = rest.first, depth > 0 {
            rest = rest.dropFirst()
            switch character {
            case "(": depth += 1
            case ")": depth -= 1
            case "\"": rest = behindLiteral(rest)
            default: break
            }
        }
        return rest
    }
}
