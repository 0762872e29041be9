import Glibc
import Testing

/// etcd that speaks TLS alone, demands certificates and knows users.
@Suite struct EtcdTLSTests {
    /// A cluster of one member, its authority, and a user `mesh` with the password `s3cret`.
    private final class Guarded {
        let authority: CertificateAuthority
        let etcd: EtcdCluster

        init(names: String = "IP:127.0.0.1") throws {
            authority = try CertificateAuthority()
            try authority.sign("etcd", names)
            try authority.sign("node", "DNS:node-1")
            etcd = try EtcdCluster(authority)
            try etcd.ctl("user", "add", "root:s3cret")
            try etcd.ctl("user", "grant-role", "root", "root")
            try etcd.ctl("auth", "enable")
            etcd.credentials = ["--user", "root:s3cret"]
            try TextFile.write("s3cret\n", to: authority.path("password"))
        }

        /// - Parameter changes: parameters that are not as they should be; `nil`: left out.
        func registry(_ changes: [String: String?] = [:], host: String? = nil) -> String {
            var parameters: [String: String?] = [
                "ca": authority.path("ca.crt"), "cert": authority.path("node.crt"), "key": authority.path("node.key"),
                "password-file": authority.path("password"),
            ]
            parameters.merge(changes) { $1 }
            let text = parameters.compactMap { name, value in value.map { "\(name)=\($0)" } }.sorted()
            return "etcds://root@\(host ?? etcd.endpoints)/mesh?" + text.joined(separator: "&")
        }
    }

    @Test func everythingWorksAsInClear() throws {
        let guarded = try Guarded()
        let etcd = guarded.etcd
        let one = try HTTPInstance("one")
        try etcd.putService("web", Web.host)
        let mesh = try MeshProcess.watching(guarded.registry())
        // Announced with the password from the environment.
        let url = guarded.registry(["password-file": nil, "password-env": "ETCD_PASSWORD"])
        let words = ["ETCD_PASSWORD=s3cret", Binary.path, "announce", "web", one.address, "--registry", url]
        let announcer = try ChildProcess("/usr/bin/env", words, files: "\(etcd.directory.path)/announce")
        try mesh.awaitAnswer(Web.host, "one")
        announcer.signal(SIGTERM)
        try demandEqual(try announcer.waitExit(), 0, "exit of announce: \(announcer.errors)")
        try mesh.awaitAnswer(Web.host, "503")
        // A member that was killed knows its tokens no more.
        try etcd.members[0].kill()
        try etcd.start(etcd.members[0])
        try etcd.waitHealthy()
        try etcd.putInstance("web", "two", one)
        try mesh.awaitAnswer(Web.host, "one")
        for text in [mesh.log, announcer.errors, try mesh.statusText(), try mesh.adminGet("/metrics").text] {
            try demand(!text.contains("s3cret"), "the password is told: \(text)")
            try demand(!text.contains("node.key"), "parameters are told: \(text)")
        }
        let arguments = TextFile.read("/proc/\(mesh.pid)/cmdline")
        try demand(arguments.contains("password-file") && !arguments.contains("s3cret"), "arguments: \(arguments)")
    }

    @Test func aTokenThatIsVoidIsReplacedWithoutAWord() throws {
        let guarded = try Guarded()
        let mesh = try MeshProcess.watching(guarded.registry())
        // Any change of users makes older tokens useless for requests to come.
        try guarded.etcd.ctl("user", "add", "other:x")
        try guarded.etcd.ctl("role", "add", "reader")
        try guarded.etcd.putService("web", Web.host)
        try guarded.etcd.ctl("user", "grant-role", "other", "reader")
        try mesh.awaitAnswer(Web.host, "503")
        try eventually("its VIP is claimed") { try mesh.metric("meshd_etcd_vips_claimed_total") == 1 }
        try demandEqual(try mesh.metric("meshd_etcd_failures_total"), 0, "failures told")
    }

    struct Fault: Sendable, CustomTestStringConvertible {
        let testDescription: String
        var changes: [String: String?] = [:]
        var host: String?
        let reason: String
    }

    static let faults = [
        Fault(
            testDescription: "another authority", changes: ["ca": "PATH/other.crt"],
            reason: "TLS: certificate verify failed: unable to get local issuer certificate"),
        Fault(
            testDescription: "another name", changes: ["server-name": "etcd.internal"],
            reason: "TLS: certificate verify failed: hostname mismatch"),
        Fault(testDescription: "no certificate", changes: ["cert": nil, "key": nil], reason: "certificate"),
        Fault(
            testDescription: "an expired certificate", changes: ["cert": "PATH/old.crt", "key": "PATH/old.key"],
            reason: "cert PATH/old.crt, key PATH/old.key: expired"),
        Fault(
            testDescription: "another key", changes: ["key": "PATH/old.key"],
            reason: "cert PATH/node.crt, key PATH/old.key: the key belongs to another certificate"),
        Fault(
            testDescription: "no such bundle", changes: ["ca": "PATH/none"],
            reason: "ca PATH/none: No such file or directory"),
        Fault(
            testDescription: "a wrong password", changes: ["password-file": "PATH/old.ext"],
            reason: "etcdserver: authentication failed, invalid user ID or password"),
        Fault(
            testDescription: "no password", changes: ["password-file": "PATH/none"],
            reason: "password-file PATH/none: No such file or directory"),
    ]

    @Test func eachFaultIsOneClearLine() throws {
        let guarded = try Guarded()
        let authority = guarded.authority
        try authority.sign("old", "DNS:node-1", isExpired: true)
        try OpenSSL.pair(authority.path(""), "other", ["other"])
        func placed(_ text: String) -> String { text.replacing("PATH", with: authority.path("").dropLast()) }
        for fault in Self.faults {
            var options = MeshProcess.Options()
            options.registries = [guarded.registry(fault.changes.mapValues { $0.map(placed) })]
            let mesh = try MeshProcess(text: "", options)
            let wanted = "\(guarded.etcd.endpoints): \(placed(fault.reason))"
            try eventually("\(fault.testDescription) is told: \(wanted)\n\(mesh.tail)") {
                mesh.log.split(separator: "\n").contains { line in
                    line.contains(placed(fault.reason)) && line.contains("\(guarded.etcd.endpoints): ")
                }
            }
            try demandEqual(try mesh.adminGet("/ready").status, 503, "\(fault.testDescription): ready")
            try eventually("\(fault.testDescription): status") { try mesh.statusText().contains("FAILED: ") }
            mesh.child.signal(SIGTERM)
        }
    }

    @Test func aServerWhoseCertificateHasEndedIsLeftAndTheLastStateStays() throws {
        let guarded = try Guarded()
        let etcd = guarded.etcd
        let one = try HTTPInstance("one")
        try etcd.putService("web", Web.host)
        try etcd.putInstance("web", "one", one)
        let mesh = try MeshProcess.watching(guarded.registry())
        try mesh.awaitAnswer(Web.host, "one")
        try etcd.members[0].kill()
        try guarded.authority.sign("etcd", "IP:127.0.0.1", isExpired: true)
        try etcd.start(etcd.members[0])
        let reason = "\(etcd.endpoints): TLS: certificate verify failed: certificate has expired"
        try eventually("it is told\n\(mesh.tail)") { mesh.log.contains(reason) }
        try mesh.awaitAnswer(Web.host, "one")
        try etcd.members[0].kill()
        try guarded.authority.sign("etcd", "IP:127.0.0.1")
        try etcd.start(etcd.members[0])
        try etcd.waitHealthy()
        try etcd.delete("instances/web/one")
        try mesh.awaitAnswer(Web.host, "503")
    }

    @Test func theNameThatIsLookedForMayBeAnother() throws {
        let guarded = try Guarded(names: "IP:127.0.0.1,DNS:etcd.internal")
        let port = guarded.etcd.members[0].clientPort
        for host in ["127.0.0.1:\(port)", "localhost:\(port)"] {
            let mesh = try MeshProcess.watching(guarded.registry(["server-name": "etcd.internal"], host: host))
            try demandEqual(try mesh.metric("meshd_etcd_reads_total"), 1, "readings by \(host)")
        }
    }
}
