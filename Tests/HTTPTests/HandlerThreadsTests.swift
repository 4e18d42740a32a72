// SPDX-License-Identifier: Apache-2.0
import Glibc
import Platform
import Testing

@testable import HTTP

@Suite("Threads of handlers")
struct HandlerThreadsTests {
    @Test("Work of one after the other is done by one thread, which waits for it")
    func reused() {
        let threads = HandlerThreads(maximum: 8)
        let names = Monitor<[UInt]>([])
        for round in 1...50 {
            #expect(threads.run { names.update { $0.append(UInt(pthread_self())) } })
            names.wait { $0.count == round ? true : nil }
            // It sits down again a moment behind its work.
            usleep(2000)
        }
        #expect(Set(names.withLock { $0 }).count <= 2)
        threads.stop()
    }

    @Test("As many at once as allowed; the rest waits its turn, and what is too much is refused")
    func bounded() {
        let threads = HandlerThreads(maximum: 3)
        let gate = Monitor(false)
        let done = Monitor((running: 0, highest: 0, all: 0))
        var taken = 0
        for _ in 0..<1500 {
            let isTaken = threads.run {
                done.update {
                    $0.running += 1
                    $0.highest = max($0.highest, $0.running)
                }
                gate.wait { $0 ? true : nil }
                done.update {
                    $0.running -= 1
                    $0.all += 1
                }
            }
            taken += isTaken ? 1 : 0
        }
        #expect(taken == 1003)
        done.wait { $0.running == 3 ? true : nil }
        gate.update { $0 = true }
        done.wait { $0.all == 1003 ? true : nil }
        #expect(done.withLock { $0.highest } == 3)
        threads.stop()
        #expect(!threads.run {})
    }

    @Test("Nothing is lost where threads sit down and are called at the same time")
    func races() throws {
        let threads = HandlerThreads(maximum: 64)
        let done = Monitor(0)
        let callers = try (0..<4).map { _ in
            try SystemThread(name: "caller") {
                for number in 0..<5000 {
                    while !threads.run({ done.update { $0 += 1 } }) { usleep(100) }
                    if number % 100 == 0 { usleep(200) }
                }
            }
        }
        for caller in callers { caller.join() }
        #expect(done.wait(until: Clock.deadline(seconds: 30)) { $0 == 20_000 ? true : nil } == true)
        threads.stop()
        #expect(done.withLock { $0 } == 20_000)
    }
}
