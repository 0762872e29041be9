/// An immutable table of plain values by small index, in pages. A copy with few changes shares every other page.
///
/// Read on the path of a request: two loads, no reference counting.
public final class PagedTable<Element: BitwiseCopyable & Sendable>: Sendable {
    /// Indices of one page: as many as fit into 16 KiB, a power of two. Small pages are cheap to copy, but a table of
    /// many pages is not.
    static var pageSize: Int { 1 << pageShift }
    private static var pageShift: Int {
        let fitting = max(16_384 / max(MemoryLayout<Element>.stride, 1), 1)
        return Int.bitWidth - 1 - fitting.leadingZeroBitCount
    }

    private final class Page: Sendable {
        nonisolated(unsafe) let base: UnsafeMutablePointer<Element>
        init(_ fill: Element) {
            base = .allocate(capacity: pageSize)
            base.initialize(repeating: fill, count: pageSize)
        }
        init(copying other: Page) {
            base = .allocate(capacity: pageSize)
            base.initialize(from: other.base, count: pageSize)
        }
        deinit { base.deallocate() }
    }

    private let pages: [Page]
    private nonisolated(unsafe) let bases: UnsafeMutablePointer<UnsafeMutablePointer<Element>>
    private let fill: Element
    private let shift: Int
    private let mask: Int
    /// Indices below this may be read.
    public let capacity: Int

    /// - Parameter fill: the value of every index that was never set.
    public convenience init(fill: Element) { self.init([], fill) }

    /// A table with these values from index 0 on.
    convenience init(_ elements: [Element], fill: Element) {
        let pages = stride(from: 0, to: elements.count, by: Self.pageSize).map { start in
            let page = Page(fill)
            for (offset, element) in elements[start...].prefix(Self.pageSize).enumerated() {
                page.base[offset] = element
            }
            return page
        }
        self.init(pages, fill)
    }

    private init(_ pages: [Page], _ fill: Element) {
        self.pages = pages
        self.fill = fill
        shift = Self.pageShift
        mask = Self.pageSize - 1
        capacity = pages.count * Self.pageSize
        bases = .allocate(capacity: max(pages.count, 1))
        for (index, page) in pages.enumerated() { (bases + index).initialize(to: page.base) }
    }

    deinit { bases.deallocate() }

    /// The value at `index`; `fill` beyond the capacity.
    public subscript(index: Int) -> Element {
        guard index >= 0, index < capacity else { return fill }
        return bases[index >> shift][index & mask]
    }

    /// A table with these values in place of the old ones.
    public func replacing(_ changes: [Int: Element]) -> PagedTable {
        guard !changes.isEmpty else { return self }
        var pages = pages
        var fresh: Set<Int> = []
        for (index, value) in changes {
            let number = index >> shift
            while pages.count <= number {
                fresh.insert(pages.count)
                pages.append(Page(fill))
            }
            if fresh.insert(number).inserted { pages[number] = Page(copying: pages[number]) }
            pages[number].base[index & mask] = value
        }
        return PagedTable(pages, fill)
    }
}
