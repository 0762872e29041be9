import TestSupport
import Testing

@testable import L7Router
@testable import Reactor

@Suite struct BlockQueueTests {
    @Test(arguments: 0..<8) func bytesComeOutAsTheyWentIn(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let pool = BufferPool(limitBytes: 1 << 20)
        var queue = BlockQueue()
        var (given, taken) = (0, 0)
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 50_000, alignment: 1)
        defer { memory.deallocate() }
        for _ in 0..<200 {
            let size = random.below(random.once(in: 5) ? 50_000 : 400)
            if random.once(in: 2), queue.count + size < 400_000 {
                for index in 0..<size { memory[index] = UInt8(truncatingIfNeeded: (given + index) &* 31 >> 3) }
                let isTaken = queue.append(memory.baseAddress!, size, pool)
                #expect(isTaken)
                given += size
            } else {
                let count = queue.read(into: memory.baseAddress!, size, pool)
                #expect(count == min(size, given - taken))
                let isSame = (0..<count).allSatisfy {
                    memory[$0] == UInt8(truncatingIfNeeded: (taken + $0) &* 31 >> 3)
                }
                #expect(isSame)
                taken += count
            }
            #expect(queue.count == given - taken)
            #expect(pool.leasedBytes <= queue.count + 2 * BufferPool.smallCapacity)
        }
        queue.release(pool)
        #expect(pool.leasedBytes == 0 && queue.isEmpty)
    }

    @Test func anEmptyQueueHoldsNothing() {
        let pool = BufferPool(limitBytes: 1 << 20)
        var queue = BlockQueue()
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 16, alignment: 1)
        defer { memory.deallocate() }
        memory.initializeMemory(as: UInt8.self, repeating: 1)
        for size in [1, BlockQueue.blockBytes, BlockQueue.blockBytes + 1, 1 << 16] {
            let isTaken = queue.append(memory.baseAddress!, size, pool)
            #expect(isTaken)
            #expect(queue.read(into: memory.baseAddress!, 1 << 16, pool) == size)
            #expect(pool.leasedBytes == 0, "\(size)")
        }
    }

    @Test func aPoolWithoutBuffersIsTold() {
        let pool = BufferPool(limitBytes: BufferPool.smallCapacity)
        var queue = BlockQueue()
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 16, alignment: 1)
        defer { memory.deallocate() }
        memory.initializeMemory(as: UInt8.self, repeating: 1)
        let first = queue.append(memory.baseAddress!, BlockQueue.blockBytes, pool)
        let second = queue.append(memory.baseAddress!, 1, pool)
        #expect(first && !second)
        queue.release(pool)
        let opened = queue.open(BufferPool(limitBytes: 0))
        #expect(opened == nil && pool.leasedBytes == 0)
    }
}
