import Testing

/// The packaged units under a real systemd.
@Suite(.enabled(if: ServiceMachine.isAllowed, ServiceMachine.why))
struct SystemdTests {
    private static let settings = """
        http: 127.0.0.1:80
        https: 127.0.0.1:443
        certificates: /etc/meshd/certificates
        registry: [file:/etc/meshd/services.yaml]
        vip-range: 10.96.0.0/16
        access-log: /var/log/meshd/access.log
        """

    /// A service whose answer meshd gives itself.
    private static let catalogue = """
        services:
          web:
            labels: {"aliyun.routing.port_80": web.example}
            x-mesh-instances: ["127.0.0.1:9000"]
        """

    private func machine() throws -> ServiceMachine {
        let machine = try ServiceMachine()
        try machine.write("/etc/meshd/meshd.yaml", Self.settings)
        try machine.write("/etc/meshd/services.yaml", Self.catalogue)
        // A key that a group of its own may read, as those of other services are.
        try machine.shell(
            """
            cd /etc/meshd && mkdir certificates
            openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=web.example -addext \
                subjectAltName=DNS:web.example -days 2 \
                -keyout certificates/web.key -out certificates/web.crt
            chown -R root:keys certificates && chmod 750 certificates && chmod 640 certificates/*
            """)
        try machine.write("/etc/systemd/system/meshd.service.d/keys.conf", "[Service]\nSupplementaryGroups=keys")
        try machine.shell("systemctl daemon-reload")
        return machine
    }

    @Test func theServiceStartsReloadsAndStops() throws {
        let machine = try machine()
        // With Type=notify it comes back when meshd is ready.
        try machine.shell("systemctl start meshd")
        let status = try machine.shell("systemctl --no-pager status meshd")
        try demand(status.contains("Active: active (running)"), status)
        try demand(status.contains("Status: \"serving, 1 services, generation 1, no problems\""), status)
        // Nothing listens at its instance's address: the answer is meshd's own.
        try demandEqual(try machine.answer("http://web.example/", "--connect-to ::127.0.0.1:80"), "502", "port 80")
        try demandEqual(
            try machine.answer("https://web.example/", "-k --connect-to ::127.0.0.1:443"), "502", "port 443")
        let routes = "ip route show table local proto 109"
        try demandEqual(try machine.shell(routes), "local 10.96.0.0/16 dev lo scope host \n", "local route")
        try eventually("the access log is written") {
            try machine.run("cat /var/log/meshd/access.log").output.contains("web.example")
        }
        // Without rights that it does not need.
        let process = try machine.shell("cat /proc/\(try machine.property("MainPID"))/status")
        try demand(process.contains("NoNewPrivs:\t1") && process.contains("Seccomp:\t2"), process)
        try demand(process.contains("CapEff:\t0000000000001400") && !process.contains("Uid:\t0\t"), process)

        let found = try machine.shell("journalctl --no-pager --unit meshd MESHD_EVENT=ready --output json | head -n 1")
        let entry = try JSONValue(parsing: found)
        try demandEqual(entry["MESHD_SERVICES"]?.text, "1", "MESHD_SERVICES")
        try demandEqual(entry["PRIORITY"]?.text, "6", "PRIORITY")
        try demandEqual(entry["_SYSTEMD_UNIT"]?.text, "meshd.service", "_SYSTEMD_UNIT")

        let before = try machine.property("MainPID")
        try machine.write("/etc/meshd/services.yaml", "services: {}")
        try machine.shell("systemctl reload meshd")
        try demandEqual(try machine.property("ActiveState"), "active", "state after the reload")
        try demandEqual(try machine.property("MainPID"), before, "process after the reload")
        try demandEqual(try machine.answer("http://127.0.0.1/"), "404", "answer by what was read")
        try demand(try machine.property("StatusText").hasPrefix("serving, 0 services"), "status text")

        try machine.shell("systemctl stop meshd")
        try demandEqual(try machine.property("Result"), "success", "result")
        try demandEqual(try machine.shell(routes), "", "local route after the end")
    }

    @Test func aProcessThatHangsIsReplaced() throws {
        let machine = try machine()
        try machine.write("/etc/systemd/system/meshd.service.d/watchdog.conf", "[Service]\nWatchdogSec=3s")
        try machine.shell("systemctl daemon-reload && systemctl start meshd")
        let before = try machine.property("MainPID")
        try machine.shell("kill -STOP \(before)")
        try eventually(within: 30, "another process serves\n\(machine.journal)") {
            let now = try machine.property("MainPID")
            return try now != before && now != "0" && machine.property("ActiveState") == "active"
        }
        try demand(machine.journal.contains("Watchdog timeout"), machine.journal)
        try demand(machine.journal.contains("local route of an earlier run taken over"), machine.journal)
        try demandEqual(try machine.answer("http://127.0.0.1/"), "404", "answer")
    }

    @Test func socketsThatSystemdOpensStartItAndOutliveIt() throws {
        let machine = try machine()
        try machine.write(
            "/etc/systemd/system/meshd-http.socket.d/here.conf",
            "[Socket]\nListenStream=\nListenStream=127.0.0.1:80")
        try machine.shell("systemctl daemon-reload && systemctl start meshd-http.socket meshd-admin.socket")
        try demandEqual(try machine.property("ActiveState"), "inactive", "state before the first connection")
        try demandEqual(try machine.answer("http://127.0.0.1/"), "404", "answer to the first connection")
        let status = "meshd status --admin unix:/run/meshd-admin.sock"
        try demand(try machine.shell(status).contains("ready"), "the admin address answers")
        // A connection of the time without meshd is answered by the next one.
        let waiting = "curl -s -m 20 -o /dev/null -w '%{http_code}' http://127.0.0.1/"
        let kill = "systemctl kill --signal KILL --kill-who main meshd"
        try demandEqual(try machine.shell("\(kill); \(waiting)"), "404", "answer across a kill")
        try demandEqual(try machine.property("NRestarts"), "1", "restarts")
        try machine.shell("systemctl stop meshd-http.socket meshd-admin.socket meshd")
    }
}
