// SPDX-License-Identifier: Apache-2.0

/// One way for foreign bytes into the archive, and what must hold whatever they are.
struct FuzzTarget: Sendable {
    let name: String
    /// For people who list the targets.
    let about: String
    /// Of an input: what lies beyond says nothing new, and is slow.
    let maximumBytes: Int
    /// Whatever must be done once before the first input.
    var prepare: @Sendable () -> Void = {}
    /// Inputs that are well made, for the fuzzer to begin from.
    let seeds: @Sendable () -> [[UInt8]]
    /// Inputs made of a DICOM file.
    var seedsFromFile: @Sendable ([UInt8]) -> [[UInt8]] = { _ in [] }
    /// Returns when all is well; ends the process otherwise.
    let run: @Sendable (UnsafeRawBufferPointer) -> Void

    static let all: [FuzzTarget] = [
        association, negotiation, command, dataSet, reencode, deflated, form, text, json, identifier, multipart, http,
        media, search, wildcard, index, log, image, render, file,
    ]
}

/// Ends the process unless a property holds: what the fuzzer reports and keeps the input of.
@inline(__always)
func require(_ condition: Bool, _ property: @autoclosure () -> String) {
    if !condition { fatalError("property does not hold: \(property())") }
}
