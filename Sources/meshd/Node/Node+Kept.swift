import Configuration
import MeshCore
import Reactor
import Registry

// The last good catalogues on disk.

extension Node {
    /// Opens the folder of kept catalogues; `nil` without a state directory.
    func keptCatalogues() throws -> KeptCatalogues? {
        guard let directory = settings.stateDirectory else { return nil }
        return try Self.naming("--state-dir \(directory)") { () throws(SystemError) in
            try KeptCatalogues(folder: directory + "/catalogues", on: loop) { [unowned self] in
                control.catalogue.content(of: $0)
            }
        }
    }

    /// Serves what is kept of a source that cannot be read at start; `false` where there is nothing.
    func serveKept(_ index: Int, because problem: CatalogueProblem) -> Bool {
        guard serveKept(index) != nil else { return false }
        sourceStatus[index].problem = problem.description
        sourceStatus[index].failures += 1
        let age = sourceStatus[index].ageOnArrivalNanoseconds / 1_000_000_000
        Log.error(
            "catalogue broken, the one kept on disk is in force",
            ["registry": sourceStatus[index].name, "cause": problem.description, "age_seconds": "\(age)"])
        return true
    }

    /// Serves what is kept of a source that has told nothing yet; `nil` where there is nothing.
    func serveKept(_ index: Int) -> KeptCatalogue? {
        let name = sourceStatus[index].name
        guard let image = kept?.load(name) else { return nil }
        // Before the first revision that the source itself will tell.
        control.apply(
            SourceEvent(
                source: name, revision: 0, change: .reset(services: image.services, instances: image.instances)))
        let now = WallClock.nowNanoseconds()
        sourceStatus[index].lastEventNanoseconds = loop.nowNanoseconds
        sourceStatus[index].ageOnArrivalNanoseconds = now - min(image.toldAtNanoseconds, now)
        sourceStatus[index].isFromDisk = true
        return image
    }

    /// What is in force is what the source has now.
    func heard(_ index: Int) {
        sourceStatus[index].lastEventNanoseconds = loop.nowNanoseconds
        sourceStatus[index].ageOnArrivalNanoseconds = 0
        sourceStatus[index].isFromDisk = false
    }
}
