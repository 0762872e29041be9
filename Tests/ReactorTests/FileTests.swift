import CLinux
import Glibc
import Testing

@testable import Reactor

@Suite struct FileBytesTests {
    @Test func replaceIsWholeAndLeavesNothingBeside() throws {
        let folder = TemporaryFolder()
        let path = folder.path + "/state"
        for content in [[], [1], [UInt8](repeating: 7, count: 300_000), [2]] as [[UInt8]] {
            try FileBytes.replace(path, content)
            #expect(try FileBytes.read(path, limit: 1 << 20) == content)
            #expect(folder.names == ["state"])
        }
    }

    @Test func aFailedReplaceLeavesTheOldAndNothingElse() throws {
        let folder = TemporaryFolder()
        let path = folder.path + "/taken"
        mkdir(path, 0o755)
        #expect(throws: SystemError("rename", EISDIR)) { try FileBytes.replace(path, [1]) }
        #expect(folder.names == ["taken"])
        rmdir(path)
        #expect(throws: SystemError("open", ENOENT)) { try FileBytes.replace(folder.path + "/none/x", [1]) }
    }

    @Test func readsUpToTheLimit() throws {
        let folder = TemporaryFolder()
        let path = folder.path + "/file"
        try FileBytes.replace(path, [UInt8](repeating: 1, count: 100_000))
        #expect(try FileBytes.read(path, limit: 100_000).count == 100_000)
        #expect(throws: SystemError("read", EFBIG)) { try FileBytes.read(path, limit: 99_999) }
        #expect(throws: SystemError("open", ENOENT)) { try FileBytes.read(folder.path + "/none", limit: 1) }
        #expect(throws: SystemError("read", EISDIR)) { try FileBytes.read(folder.path, limit: 1) }
    }

    @Test func aPipeDoesNotBlock() throws {
        let folder = TemporaryFolder()
        let path = folder.path + "/pipe"
        #expect(mkfifo(path, 0o600) == 0)
        #expect(try FileBytes.read(path, limit: 1) == [])
    }
}

@Suite struct FileWatcherTests {
    /// Runs `steps` one after the other, each begun when the change before it was told.
    private func run(_ folder: TemporaryFolder, _ steps: [(String) -> Void]) throws -> Int {
        let loop = try EventLoop()
        let path = folder.path + "/services.yaml"
        try FileBytes.replace(path, [0])
        var told = 0
        let watcher = try FileWatcher(path, on: loop) {
            told += 1
            if told == steps.count { loop.stop() } else { steps[told](path) }
        }
        steps[0](path)
        loop.runGuarded()
        watcher.stop()
        return told
    }

    private static func write(_ path: String, _ flags: Int32) {
        let fd = open(path, O_WRONLY | O_CREAT | flags, 0o644)
        _ = Glibc.write(fd, "x", 1)
        close(fd)
    }

    @Test func everyWayOfChanging() throws {
        let folder = TemporaryFolder()
        let told = try run(
            folder,
            [
                { Self.write($0, 0) }, { Self.write($0, O_TRUNC) }, { try? FileBytes.replace($0, [1]) },
                { unlink($0) }, { Self.write($0, O_EXCL) }, { rename($0, $0 + "~") }, { rename($0 + "~", $0) },
                {
                    unlink($0)
                    Self.write($0, O_EXCL)
                },
                { chmod($0, 0o600) },
            ])
        #expect(told == 9)
    }

    @Test func aLinkThatMovesIsAChange() throws {
        let folder = TemporaryFolder()
        let told = try run(
            folder, [{ path in symlink("/tmp", String(path.dropLast("services.yaml".count)) + "..data") }])
        #expect(told == 1)
    }

    @Test func otherFilesAreNotAndABurstIsOne() throws {
        let loop = try EventLoop()
        let folder = TemporaryFolder()
        let path = folder.path + "/services.yaml"
        try FileBytes.replace(path, [0])
        var told = 0
        let watcher = try FileWatcher(path, on: loop) { told += 1 }
        for index in 0..<500 {
            Self.write(folder.path + "/other\(index % 7)", 0)
            Self.write(folder.path + "/services.yaml.swp", 0)
        }
        let timer = TestHandler()
        loop.attach(timer)
        var rounds = 0
        timer.onDeadline = {
            rounds += 1
            if rounds == 2 { return loop.stop() }
            #expect(told == 0)
            for _ in 0..<2_000 { Self.write(path, O_APPEND) }
            loop.setDeadline(timer, after: 300_000_000)
        }
        loop.setDeadline(timer, after: 60_000_000)
        loop.runGuarded()
        watcher.stop()
        #expect(told >= 1 && told <= 3)
    }

    @Test func aFileThatIsAlwaysWrittenIsToldAllTheSame() throws {
        let loop = try EventLoop()
        let folder = TemporaryFolder()
        let path = folder.path + "/busy"
        let watcher = try FileWatcher(path, on: loop) { loop.stop() }
        let writer = TestHandler()
        loop.attach(writer)
        var writes = 0
        writer.onDeadline = {
            writes += 1
            Self.write(path, O_APPEND)
            if writes > 2_000 { loop.stop() } else { loop.setDeadline(writer, after: 1) }
        }
        loop.setDeadline(writer, after: 1)
        loop.runGuarded()
        watcher.stop()
        #expect(writes < 2_000)
    }

    @Test func aFolderThatIsNotThere() throws {
        let loop = try EventLoop()
        #expect(throws: SystemError("inotify_add_watch", ENOENT)) { _ = try FileWatcher("/none/x", on: loop) {} }
    }
}
