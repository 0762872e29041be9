import Glibc
import Testing

/// A start without the registry.
@Suite struct KeptCatalogueTests {
    private struct Stage {
        let instance: HTTPInstance
        let directory: TemporaryDirectory
        let catalogue: String
        let text: String
        var options: MeshProcess.Options

        init(_ instance: HTTPInstance) throws {
            self.instance = instance
            directory = try TemporaryDirectory()
            catalogue = directory.path + "/mount/services.yaml"
            text = Catalogue([.web("web", Web.host, [instance])]).text
            options = MeshProcess.Options()
            options.stateDirectory = directory.path + "/state"
            options.cataloguePath = catalogue
            mkdir(directory.path + "/mount", 0o755)
        }

        /// Serves once with a good file and stops.
        func fill() throws {
            let mesh = try MeshProcess.started(text: text, options)
            try demandEqual(try mesh.get(Web.host).status, 200, "status with the file")
            try demandEqual(try mesh.metric("meshd_registry_from_disk"), 0, "from disk")
            mesh.child.signal(SIGTERM)
            try demandEqual(try mesh.child.waitExit(), 0, "exit status")
        }

        var keptFile: String {
            get throws {
                let folder = directory.path + "/state/catalogues"
                let found = try CommandOutput.lines("/bin/ls", [folder], files: directory.path + "/ls")
                try demandEqual(found.count, 1, "kept files: \(found)")
                return folder + "/" + found[0]
            }
        }
    }

    @Test(arguments: ["missing", "broken", "folder"])
    func lastGoodCatalogueServesUntilTheFileIsWhole(fault: String) throws {
        let instance = try HTTPInstance("web")
        var stage = try Stage(instance)
        try stage.fill()
        unlink(stage.catalogue)
        if fault == "folder" { rmdir(stage.directory.path + "/mount") }
        stage.options.hasCatalogue = fault == "broken"
        let mesh = try MeshProcess.started(text: "services: {web: [}", stage.options)
        try demandEqual(try mesh.get(Web.host).status, 200, "status without the file\n\(mesh.tail)")
        try demandEqual(try mesh.metric("meshd_registry_from_disk"), 1, "from disk")
        try demandEqual(try mesh.metric("meshd_registry_last_read_failed"), 1, "last read failed")
        try demand(try mesh.metric("meshd_registry_age_seconds") ?? -1 > 0, "age")
        try demand(try mesh.statusText().contains("kept on disk, FAILED"), try mesh.statusText())
        try demand(mesh.log.contains("the one kept on disk is in force"), "the log says so: \(mesh.log)")
        mkdir(stage.directory.path + "/mount", 0o755)
        try TextFile.replace(stage.catalogue, with: "services: {}\n")
        try eventually("the file is in force again") { try mesh.get(Web.host).status == 404 }
        try demandEqual(try mesh.metric("meshd_registry_from_disk"), 0, "from disk afterwards")
        try demandEqual(try mesh.metric("meshd_registry_last_read_failed"), 0, "last read failed afterwards")
    }

    @Test func whatEtcdToldServesUntilItIsRead() throws {
        let etcd = try EtcdCluster()
        let instance = try HTTPInstance("web")
        try etcd.putService("web", Web.host)
        try etcd.putInstance("web", "one", instance)
        let directory = try TemporaryDirectory()
        var options = MeshProcess.Options()
        options.registries = [etcd.registry]
        options.stateDirectory = directory.path + "/state"
        var vip = ""
        do {
            let mesh = try MeshProcess.started(text: "", options)
            try mesh.awaitAnswer(Web.host, "web")
            vip = try mesh.vip("web")
            options.vipOctet = mesh.vipOctet
            mesh.child.signal(SIGTERM)
            try demandEqual(try mesh.child.waitExit(), 0, "exit status")
        }
        try etcd.members[0].kill()
        let mesh = try MeshProcess.started(text: "", options)
        try demandEqual(try mesh.get(Web.host).text, "web", "answer without etcd")
        try demandEqual(try mesh.vip("web"), vip, "VIP without etcd")
        try demandEqual(try mesh.metric("meshd_registry_from_disk"), 1, "from disk")
        try etcd.start(etcd.members[0])
        try etcd.waitHealthy()
        try eventually("etcd is in force again") { try mesh.metric("meshd_registry_from_disk") == 0 }
        try demandEqual(try mesh.get(Web.host).text, "web", "answer with etcd")
    }

    /// What was kept is served from the start, but a node that says it is ready has asked for what is true now.
    @Test func readinessWaitsForAnEtcdThatCanBeRead() throws {
        let etcd = try EtcdCluster()
        let instance = try HTTPInstance("web")
        try etcd.putService("web", Web.host)
        try etcd.putInstance("web", "one", instance)
        let directory = try TemporaryDirectory()
        var options = MeshProcess.Options()
        options.registries = [etcd.registry]
        options.stateDirectory = directory.path + "/state"
        do {
            let mesh = try MeshProcess.started(text: "", options)
            try mesh.awaitAnswer(Web.host, "web")
            mesh.child.signal(SIGTERM)
            try demandEqual(try mesh.child.waitExit(), 0, "exit status")
        }
        try etcd.putService("late", "late.example")
        try etcd.putInstance("late", "one", instance)
        let mesh = try MeshProcess.started(text: "", options)
        let ready = mesh.log.split(separator: "\n").first { $0.contains("\"ready\"") } ?? ""
        try demand(ready.contains("\"services\":\"2\""), "services when it is ready: \(mesh.log)")
        try demandEqual(try mesh.get("late.example").text, "web", "answer")
    }

    @Test func damagedFileIsNamedAndIgnored() throws {
        var stage = try Stage(try HTTPInstance("web"))
        try stage.fill()
        let path = try stage.keptFile
        let fd = open(path, O_WRONLY)
        try demand(fd >= 0 && pwrite(fd, "#", 1, 60) == 1, "a byte is changed")
        close(fd)
        unlink(stage.catalogue)
        stage.options.hasCatalogue = false
        let mesh = try MeshProcess(text: "", stage.options)
        try demandEqual(try mesh.child.waitExit(), 2, "exit status")
        try demand(mesh.log.contains("checksum") && mesh.log.contains(path), "the file is named: \(mesh.log)")
    }

    /// Nothing else changes by then that would have it written.
    @Test func whatCouldNotBeWrittenIsTriedAgain() throws {
        let stage = try Stage(try HTTPInstance("web"))
        try stage.fill()
        let path = try stage.keptFile
        // A folder in its place, with something in it, as a disk that takes nothing.
        try demand(unlink(path) == 0 && mkdir(path, 0o755) == 0 && mkdir(path + "/in", 0o755) == 0, "a folder")
        let mesh = try MeshProcess.started(text: stage.text, stage.options)
        try eventually("it cannot be written\n\(mesh.tail)") {
            try mesh.metric("meshd_registry_keep_failures_total") ?? 0 >= 1
        }
        try demand(rmdir(path + "/in") == 0 && rmdir(path) == 0, "room again")
        try eventually(within: 30, "it is written\n\(mesh.tail)") { TextFile.read(path).contains(Web.host) }
        let lines = mesh.log.split(separator: "\n").count { $0.contains("cannot write state") }
        try demandEqual(lines, 1, "lines that say so")
    }

    @Test func withoutAKeptCatalogueTheStartFails() throws {
        var stage = try Stage(try HTTPInstance("web"))
        stage.options.hasCatalogue = false
        let mesh = try MeshProcess(text: "", stage.options)
        try demandEqual(try mesh.child.waitExit(), 2, "exit status")
        try demandEqual(mesh.log.split(separator: "\n").count, 1, "lines: \(mesh.log)")
    }
}

private enum CommandOutput {
    static func lines(_ path: String, _ arguments: [String], files: String) throws -> [String] {
        let child = try ChildProcess(path, arguments, files: files)
        try demandEqual(try child.waitExit(), 0, "exit status of \(path): \(child.errors)")
        return child.output.split(separator: "\n").map(String.init)
    }
}
