/// A watched registry, as its holder sees it once it runs.
public protocol CatalogueSource: AnyObject {
    /// The source's name in its events.
    var name: String { get }

    /// Ends the watch; nothing more is told.
    func stop()
}
