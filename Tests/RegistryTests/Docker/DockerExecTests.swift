import MeshCore
import Testing

@testable import Registry

@Suite struct DockerExecTests {
    private func begun() -> DockerExec {
        var exec = DockerExec()
        _ = exec.handle(.begin(lingering: nil))
        _ = exec.handle(.created(id: "e"))
        return exec
    }

    @Test func createdStartedAndJudged() {
        var exec = DockerExec()
        #expect(exec.handle(.begin(lingering: nil)) == [.create])
        #expect(exec.handle(.created(id: "e")) == [.start(id: "e")])
        #expect(exec.handle(.outputEnded) == [.inspect(id: "e")])
        #expect(exec.handle(.inspected(isRunning: false, exitCode: 0)) == [.finished(.passed, lingering: nil)])
        #expect(exec.handle(.expired) == [])
    }

    @Test func anotherStatusIsAFailure() {
        var exec = begun()
        _ = exec.handle(.outputEnded)
        #expect(exec.handle(.inspected(isRunning: false, exitCode: 3)) == [.finished(.exited(3), lingering: nil)])
    }

    @Test func theStatusMayComeLater() {
        var exec = begun()
        _ = exec.handle(.outputEnded)
        #expect(exec.handle(.inspected(isRunning: true, exitCode: nil)) == [.timer(nanoseconds: 5_000_000)])
        #expect(exec.handle(.timer) == [.inspect(id: "e")])
        #expect(exec.handle(.inspected(isRunning: true, exitCode: nil)) == [.timer(nanoseconds: 10_000_000)])
        #expect(exec.handle(.timer) == [.inspect(id: "e")])
        #expect(exec.handle(.inspected(isRunning: false, exitCode: 0)) == [.finished(.passed, lingering: nil)])
    }

    @Test func oneThatOutlivesItsTimeIsWaitedFor() {
        var exec = begun()
        #expect(exec.execID == "e")
        #expect(exec.handle(.expired) == [.finished(.timedOut, lingering: "e")])
        var next = DockerExec()
        #expect(next.handle(.begin(lingering: "e")) == [.inspect(id: "e")])
        var still = next
        #expect(still.handle(.inspected(isRunning: true, exitCode: nil)) == [.finished(.timedOut, lingering: "e")])
        var over = next
        #expect(over.handle(.inspected(isRunning: false, exitCode: 1)) == [.create])
        #expect(next.handle(.failed(.refused(status: 404, message: ""))) == [.create])
    }

    @Test func failuresOfTheEngineSayNothingOfTheInstance() {
        var exec = DockerExec()
        _ = exec.handle(.begin(lingering: nil))
        var slow = exec
        #expect(
            slow.handle(.expired) == [
                .finished(.notMade("the engine did not begin the command in time"), lingering: nil)
            ])
        var away = exec
        #expect(away.handle(.failed(.unreachable("x"))) == [.finished(.notMade("x"), lingering: nil)])
        // A command that cannot be begun is one that fails.
        let refusal = DockerFailure.refused(status: 400, message: "no such file\n")
        #expect(exec.handle(.failed(refusal)) == [.finished(.failed("no such file?"), lingering: nil)])
    }

    @Test func textsAndArraysAreCommands() throws {
        #expect(try CommandText.words("check --all") == ["/bin/sh", "-c", "check --all"])
        #expect(try CommandText.words("[\"/check\", \"a b\"]") == ["/check", "a b"])
        for text in ["", "[]", "[1]", "[\"\"]", "[\"a\"", "a\u{0}b", String(repeating: "x", count: 4_097)] {
            #expect(throws: TextFault.self) { try CommandText.words(text) }
        }
    }
}
