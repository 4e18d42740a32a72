// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import HTTP

@Suite("Bodies in memory")
struct BodyTests {
    private final class Keeper {
        let memory: UnsafeMutableRawBufferPointer
        let onEnd: () -> Void

        init(_ bytes: [UInt8], onEnd: @escaping () -> Void = {}) {
            memory = .allocate(byteCount: bytes.count, alignment: 1)
            memory.copyBytes(from: bytes)
            self.onEnd = onEnd
        }

        deinit {
            onEnd()
            memory.deallocate()
        }
    }

    private func bytes(_ body: HTTPBody) -> [UInt8] { body.pieces.flatMap { Array($0.bytes) } }

    @Test("Every range of pieces put together is that of their bytes")
    func parts() {
        let keeper = Keeper([4, 5, 6, 7])
        let body = HTTPBody([1, 2, 3]) + HTTPBody(UnsafeRawBufferPointer(keeper.memory), of: keeper) + HTTPBody([8])
        let whole: [UInt8] = [1, 2, 3, 4, 5, 6, 7, 8]
        #expect(body.count == 8)
        #expect(bytes(body) == whole)
        for start in 0...8 {
            for end in start...8 {
                let part = body.part(start..<end)
                #expect(bytes(part) == Array(whole[start..<end]))
                #expect(part.pieces.allSatisfy { !$0.bytes.isEmpty })
            }
        }
    }

    @Test("Nothing is no piece")
    func empty() {
        #expect(HTTPBody().pieces.isEmpty)
        #expect((HTTPBody([]) + HTTPBody(UnsafeRawBufferPointer(start: nil, count: 0), of: Keeper([]))).pieces.isEmpty)
        #expect(HTTPBody([1, 2]).part(1..<1).count == 0)
    }

    @Test("Head and end go into the margins where they fit, else in front and behind")
    func wrapped() {
        // "aaaa" in the middle of twelve bytes: four on both sides are free.
        let keeper = Keeper(Array("....aaaa....".utf8))
        let middle = UnsafeRawBufferPointer(rebasing: keeper.memory[4..<8])
        func body() -> HTTPBody { HTTPBody(middle, of: keeper, marginBytes: 4) }
        for (head, end, pieces) in [
            ("", "", 1), ("h", "ee", 1), ("hhhh", "eeee", 1), ("hhhhh", "e", 3), ("h", "eeeee", 3),
        ] {
            let whole = body().wrapped(in: head, end)
            #expect(String(decoding: bytes(whole), as: UTF8.self) == head + "aaaa" + end)
            #expect(whole.pieces.count == pieces)
        }
        #expect(String(decoding: keeper.memory, as: UTF8.self) == "hhhhaaaaeeee")
        // Of two pieces, and of a part, nobody knows that there is room.
        #expect(bytes((body() + HTTPBody([1])).wrapped(in: "h", "e")) == Array("haaaa".utf8) + [1] + Array("e".utf8))
        #expect(bytes(body().part(1..<2).wrapped(in: "x", "y")) == Array("xay".utf8))
        #expect(String(decoding: keeper.memory, as: UTF8.self) == "hhhhaaaaeeee")
        #expect(bytes(HTTPBody([7]).wrapped(in: "h", "e")) == [0x68, 7, 0x65])
        #expect(bytes(HTTPBody().wrapped(in: "h", "e")) == [0x68, 0x65])
    }

    @Test("Memory is kept as long as a part of it is")
    func kept() {
        var ended = 0
        var part: HTTPBody?
        do {
            let keeper = Keeper([1, 2, 3]) { ended += 1 }
            part = (HTTPBody([0]) + HTTPBody(UnsafeRawBufferPointer(keeper.memory), of: keeper)).part(2..<4)
        }
        #expect(ended == 0)
        #expect(part.map(bytes) == [2, 3])
        part = nil
        #expect(ended == 1)
    }
}
