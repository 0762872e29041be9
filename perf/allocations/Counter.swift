// Stands before the C library's allocator in a process that preloads it, and counts each thread's calls in a shared
// file. Embedded Swift: the library holds no runtime and never allocates, so it can serve the loader's own calls too.
// The linker gives `counted_malloc` the name `malloc`, and so on: the compiler keeps those names for itself.
//
// The file holds four 8-byte words for each slot: allocations and frees of the slot's thread, then those of OpenSSL's
// libraries on it, which are in no other count: OpenSSL is told to allocate here by name.
//
// A slot is the thread's number modulo 1,024: threads of one process have numbers near each other, and only a slot's
// thread writes it.

@_silgen_name("__libc_malloc") private func libraryMalloc(_ size: Int) -> UnsafeMutableRawPointer?
@_silgen_name("__libc_calloc") private func libraryCalloc(_ count: Int, _ size: Int) -> UnsafeMutableRawPointer?
@_silgen_name("__libc_realloc")
private func libraryRealloc(_ old: UnsafeMutableRawPointer?, _ size: Int) -> UnsafeMutableRawPointer?
@_silgen_name("__libc_memalign")
private func libraryMemalign(_ alignment: Int, _ size: Int) -> UnsafeMutableRawPointer?
@_silgen_name("__libc_free") private func libraryFree(_ old: UnsafeMutableRawPointer?)
@_silgen_name("gettid") private func threadNumber() -> Int32
@_silgen_name("getenv") private func environment(_ name: UnsafePointer<CChar>) -> UnsafePointer<CChar>?
@_silgen_name("open") private func open(_ path: UnsafePointer<CChar>, _ flags: Int32) -> Int32
@_silgen_name("dlsym")
private func symbol(_ library: UnsafeMutableRawPointer?, _ name: UnsafePointer<CChar>) -> UnsafeMutableRawPointer?
@_silgen_name("mmap")
private func map(
    _ hint: UnsafeMutableRawPointer?, _ length: Int, _ protection: Int32, _ flags: Int32, _ descriptor: Int32,
    _ offset: Int
) -> UnsafeMutableRawPointer?

private let slots = 1024

nonisolated(unsafe) private var words: UnsafeMutablePointer<Int>?
/// Whether the file has been asked for; before main() there is one thread.
nonisolated(unsafe) private var isOpened = false

@inline(never)
private func openWords() {
    isOpened = true
    guard let path = environment("ALLOCATION_COUNTS") else { return }
    let descriptor = open(path, 0o2_000_002)  // O_RDWR | O_CLOEXEC
    guard descriptor >= 0 else { return }
    let bytes = 32 * slots
    // PROT_READ | PROT_WRITE, MAP_SHARED
    guard let base = map(nil, bytes, 3, 1, descriptor, 0), Int(bitPattern: base) != -1 else { return }
    words = base.assumingMemoryBound(to: Int.self)
}

private func count(_ kind: Int) {
    if !isOpened { openWords() }
    guard let words else { return }
    words[4 * (Int(threadNumber()) & (slots - 1)) + kind] &+= 1
}

@c(counted_malloc)
public func countedMalloc(_ size: Int) -> UnsafeMutableRawPointer? {
    count(0)
    return libraryMalloc(size)
}

@c(counted_calloc)
public func countedCalloc(_ number: Int, _ size: Int) -> UnsafeMutableRawPointer? {
    count(0)
    return libraryCalloc(number, size)
}

@c(counted_realloc)
public func countedRealloc(_ old: UnsafeMutableRawPointer?, _ size: Int) -> UnsafeMutableRawPointer? {
    count(0)
    return libraryRealloc(old, size)
}

@c(counted_memalign)
public func countedMemalign(_ alignment: Int, _ size: Int) -> UnsafeMutableRawPointer? {
    count(0)
    return libraryMemalign(alignment, size)
}

@c(counted_posix_memalign)
public func countedPosixMemalign(
    _ result: UnsafeMutablePointer<UnsafeMutableRawPointer?>, _ alignment: Int, _ size: Int
) -> Int32 {
    count(0)
    guard let memory = libraryMemalign(alignment, size) else { return 12 }  // ENOMEM
    result.pointee = memory
    return 0
}

@c(counted_free)
public func countedFree(_ old: UnsafeMutableRawPointer?) {
    if old != nil { count(1) }
    libraryFree(old)
}

// MARK: - OpenSSL

private typealias Allocate = @convention(c) (Int, UnsafePointer<CChar>?, Int32) -> UnsafeMutableRawPointer?
private typealias Reallocate =
    @convention(c) (UnsafeMutableRawPointer?, Int, UnsafePointer<CChar>?, Int32) -> UnsafeMutableRawPointer?
private typealias Free = @convention(c) (UnsafeMutableRawPointer?, UnsafePointer<CChar>?, Int32) -> Void
/// CRYPTO_set_mem_functions(3).
private typealias SetFunctions = @convention(c) (Allocate, Reallocate, Free) -> Int32

/// The loader's call once the libraries are there, before any of them has work to do.
@c(counter_begin)
public func counterBegin() {
    let name: StaticString = "CRYPTO_set_mem_functions"
    let found = name.withUTF8Buffer { bytes in
        bytes.baseAddress.flatMap { base in
            base.withMemoryRebound(to: CChar.self, capacity: bytes.count) { symbol(nil, $0) }
        }
    }
    guard let found else { return }
    _ = unsafeBitCast(found, to: SetFunctions.self)(
        { size, _, _ in
            count(2)
            return libraryMalloc(size)
        },
        { old, size, _, _ in
            count(2)
            return libraryRealloc(old, size)
        },
        { old, _, _ in
            if old != nil { count(3) }
            libraryFree(old)
        })
}
