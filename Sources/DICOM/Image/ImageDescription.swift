// SPDX-License-Identifier: Apache-2.0

/// How the pixels of an image are laid out (PS3.3 section C.7.6.3).
package struct ImageDescription: Equatable, Sendable {
    package var rows: UInt16
    package var columns: UInt16
    package var samplesPerPixel: UInt16
    package var bitsAllocated: UInt16
    package var bitsStored: UInt16
    package var highBit: UInt16
    /// 0: unsigned, 1: two's complement.
    package var pixelRepresentation: UInt16
    /// 0: R1G1B1R2G2B2…, 1: planes.
    package var planarConfiguration: UInt16
    package var photometricInterpretation: String
    package var numberOfFrames: Int

    /// From a header. Nil: it describes no image.
    package init?(_ dataSet: DataSet) {
        func number(_ tag: Tag) -> UInt16? {
            guard let element = dataSet[tag], element.value.count >= 2 else { return nil }
            return element.value.withRawBytes { dataSet.isBigEndian ? $0.bigEndian(at: 0) : $0.littleEndian(at: 0) }
        }
        guard let rows = number(.rows), let columns = number(.columns), rows > 0, columns > 0 else { return nil }
        self.rows = rows
        self.columns = columns
        samplesPerPixel = number(.samplesPerPixel) ?? 1
        bitsAllocated = number(.bitsAllocated) ?? 8
        bitsStored = number(.bitsStored) ?? bitsAllocated
        highBit = number(.highBit) ?? (max(bitsStored, 1) - 1)
        pixelRepresentation = number(.pixelRepresentation) ?? 0
        planarConfiguration = number(.planarConfiguration) ?? 0
        photometricInterpretation = dataSet[.photometricInterpretation]?.plainValue ?? "MONOCHROME2"
        numberOfFrames = max(1, dataSet[.numberOfFrames].flatMap { Int($0.plainValue) } ?? 1)
        guard (1...4).contains(samplesPerPixel), (1...64).contains(bitsAllocated) else { return nil }
    }

    /// One grey frame of 8 bits, for what fills the rest in.
    package init(rows: UInt16, columns: UInt16) {
        (self.rows, self.columns, samplesPerPixel, numberOfFrames) = (rows, columns, 1, 1)
        (bitsAllocated, bitsStored, highBit, pixelRepresentation, planarConfiguration) = (8, 8, 7, 0, 0)
        photometricInterpretation = "MONOCHROME2"
    }

    /// Bits of one native frame; at most 2³² · 4 · 64, so that 64 bits hold it (THREATS: overflow of the product).
    package var frameBits: UInt64 {
        // Chroma of YBR_FULL_422 is halved along the rows (PS3.3 section C.7.6.3.1.2).
        let samples: UInt64 =
            photometricInterpretation == "YBR_FULL_422" && samplesPerPixel == 3 ? 2 : UInt64(samplesPerPixel)
        return UInt64(rows) * UInt64(columns) * samples * UInt64(bitsAllocated)
    }
}
