// SPDX-License-Identifier: Apache-2.0
import Platform

/// Takes an input apart: choices at its beginning, what is to be read behind them. At its end everything is 0.
struct FuzzInput {
    private(set) var rest: UnsafeRawBufferPointer

    init(_ bytes: UnsafeRawBufferPointer) { rest = bytes }

    mutating func byte() -> UInt8 {
        guard let first = rest.first else { return 0 }
        rest = rest.part(1..<rest.count)
        return first
    }

    mutating func number() -> UInt16 { UInt16(byte()) | UInt16(byte()) << 8 }

    mutating func bytes(_ count: Int) -> UnsafeRawBufferPointer {
        let count = min(count, rest.count)
        defer { rest = rest.part(count..<rest.count) }
        return rest.part(0..<count)
    }

    mutating func pick<Choice>(_ choices: [Choice]) -> Choice { choices[Int(byte()) % choices.count] }

    var text: String { String(decoding: rest, as: UTF8.self) }
}

/// Calls `body` with a copy in memory of exactly its size, so that a read beyond it is one that tools can see.
func withExactCopy<Result>(_ bytes: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer) -> Result) -> Result {
    let room = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 1)
    defer { room.deallocate() }
    room.copyMemory(from: bytes)
    return body(UnsafeRawBufferPointer(room))
}
