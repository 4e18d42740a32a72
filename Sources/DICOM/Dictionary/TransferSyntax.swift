// SPDX-License-Identifier: Apache-2.0

/// A transfer syntax: how a data set is written down, and whether its pixel data is compressed (PS3.5 section 10).
///
/// Any UID makes one: a syntax this version does not know is taken for Explicit VR Little Endian with encapsulated
/// pixel data, which is what every syntax added to the standard so far has been (PS3.5 annex A.4).
package struct TransferSyntax: Hashable, Sendable, CustomStringConvertible {
    /// Without padding.
    package let uid: String
    /// As PS3.6 annex A calls it; the UID itself for an unknown one.
    package let name: String
    private let traits: Traits

    private struct Traits: OptionSet {
        let rawValue: UInt8
        static let implicitVR = Traits(rawValue: 1), bigEndian = Traits(rawValue: 2), deflated = Traits(rawValue: 4)
        static let encapsulated = Traits(rawValue: 8), uncompressed = Traits(rawValue: 16)
    }

    /// A known syntax or, for any other UID, an encapsulated one. Padding at the end of the UID is dropped.
    package init(uid: String) {
        // By bytes: each message asks for its own syntax.
        let end = uid.utf8.firstIndex { $0 == 0 || $0 == UInt8(ascii: " ") }
        let uid = end.map { String(uid[..<$0]) } ?? uid
        self = Self.known[uid] ?? TransferSyntax(uid, uid, .encapsulated)
    }

    private init(_ uid: String, _ name: String, _ traits: Traits) {
        self.uid = uid
        self.name = name
        self.traits = traits
    }

    /// Elements carry no VR; it comes from the dictionary (PS3.5 annex A.1).
    package var isImplicitVR: Bool { traits.contains(.implicitVR) }
    /// Numbers have their high byte first (PS3.5 annex A.3, retired).
    package var isBigEndian: Bool { traits.contains(.bigEndian) }
    /// All that follows the file meta information is one deflate stream (PS3.5 annex A.5).
    package var isDeflated: Bool { traits.contains(.deflated) }
    /// Pixel data is a sequence of fragments (PS3.5 annex A.4).
    package var isEncapsulated: Bool { traits.contains(.encapsulated) }
    /// Pixel data stands as plain words in the data set, so that the archive can rewrite it from one of these
    /// syntaxes into another: implicit, explicit little and big endian, deflated.
    package var isUncompressed: Bool { traits.contains(.uncompressed) }
    /// Whether this version knows the UID.
    package var isKnown: Bool { Self.known[uid] != nil }

    package var description: String { name }

    package static func == (left: TransferSyntax, right: TransferSyntax) -> Bool { left.uid == right.uid }
    package func hash(into hasher: inout Hasher) { hasher.combine(uid) }

    private static let known = Dictionary(all.map { ($0.uid, $0) }, uniquingKeysWith: { first, _ in first })
}

// PS3.6 annex A, table A-1.
extension TransferSyntax {
    /// 1.2.840.10008.1.2.
    package static let implicitVRLittleEndian = TransferSyntax(
        "1.2.840.10008.1.2", "Implicit VR Little Endian", [.implicitVR, .uncompressed])
    /// 1.2.840.10008.1.2.1.
    package static let explicitVRLittleEndian = TransferSyntax(
        "1.2.840.10008.1.2.1", "Explicit VR Little Endian", .uncompressed)
    /// 1.2.840.10008.1.2.1.98.
    package static let encapsulatedUncompressedExplicitVRLittleEndian = TransferSyntax(
        "1.2.840.10008.1.2.1.98", "Encapsulated Uncompressed Explicit VR Little Endian", .encapsulated)
    /// 1.2.840.10008.1.2.1.99.
    package static let deflatedExplicitVRLittleEndian = TransferSyntax(
        "1.2.840.10008.1.2.1.99", "Deflated Explicit VR Little Endian", [.deflated, .uncompressed])
    /// 1.2.840.10008.1.2.2, retired.
    package static let explicitVRBigEndian = TransferSyntax(
        "1.2.840.10008.1.2.2", "Explicit VR Big Endian", [.bigEndian, .uncompressed])
    /// 1.2.840.10008.1.2.4.50.
    package static let jpegBaseline = TransferSyntax(
        "1.2.840.10008.1.2.4.50", "JPEG Baseline (Process 1)", .encapsulated)
    /// 1.2.840.10008.1.2.4.51.
    package static let jpegExtended = TransferSyntax(
        "1.2.840.10008.1.2.4.51", "JPEG Extended (Process 2 and 4)", .encapsulated)
    /// 1.2.840.10008.1.2.4.52, retired.
    package static let jpegExtended35 = TransferSyntax(
        "1.2.840.10008.1.2.4.52", "JPEG Extended (Process 3 and 5)", .encapsulated)
    /// 1.2.840.10008.1.2.4.53, retired.
    package static let jpegSpectralSelectionNonHierarchical68 = TransferSyntax(
        "1.2.840.10008.1.2.4.53", "JPEG Spectral Selection, Non-Hierarchical (Process 6 and 8)", .encapsulated)
    /// 1.2.840.10008.1.2.4.54, retired.
    package static let jpegSpectralSelectionNonHierarchical79 = TransferSyntax(
        "1.2.840.10008.1.2.4.54", "JPEG Spectral Selection, Non-Hierarchical (Process 7 and 9)", .encapsulated)
    /// 1.2.840.10008.1.2.4.55, retired.
    package static let jpegFullProgressionNonHierarchical1012 = TransferSyntax(
        "1.2.840.10008.1.2.4.55", "JPEG Full Progression, Non-Hierarchical (Process 10 and 12)", .encapsulated)
    /// 1.2.840.10008.1.2.4.56, retired.
    package static let jpegFullProgressionNonHierarchical1113 = TransferSyntax(
        "1.2.840.10008.1.2.4.56", "JPEG Full Progression, Non-Hierarchical (Process 11 and 13)", .encapsulated)
    /// 1.2.840.10008.1.2.4.57.
    package static let jpegLossless = TransferSyntax(
        "1.2.840.10008.1.2.4.57", "JPEG Lossless, Non-Hierarchical (Process 14)", .encapsulated)
    /// 1.2.840.10008.1.2.4.58, retired.
    package static let jpegLosslessNonHierarchical15 = TransferSyntax(
        "1.2.840.10008.1.2.4.58", "JPEG Lossless, Non-Hierarchical (Process 15)", .encapsulated)
    /// 1.2.840.10008.1.2.4.59, retired.
    package static let jpegExtendedHierarchical1618 = TransferSyntax(
        "1.2.840.10008.1.2.4.59", "JPEG Extended, Hierarchical (Process 16 and 18)", .encapsulated)
    /// 1.2.840.10008.1.2.4.60, retired.
    package static let jpegExtendedHierarchical1719 = TransferSyntax(
        "1.2.840.10008.1.2.4.60", "JPEG Extended, Hierarchical (Process 17 and 19)", .encapsulated)
    /// 1.2.840.10008.1.2.4.61, retired.
    package static let jpegSpectralSelectionHierarchical2022 = TransferSyntax(
        "1.2.840.10008.1.2.4.61", "JPEG Spectral Selection, Hierarchical (Process 20 and 22)", .encapsulated)
    /// 1.2.840.10008.1.2.4.62, retired.
    package static let jpegSpectralSelectionHierarchical2123 = TransferSyntax(
        "1.2.840.10008.1.2.4.62", "JPEG Spectral Selection, Hierarchical (Process 21 and 23)", .encapsulated)
    /// 1.2.840.10008.1.2.4.63, retired.
    package static let jpegFullProgressionHierarchical2426 = TransferSyntax(
        "1.2.840.10008.1.2.4.63", "JPEG Full Progression, Hierarchical (Process 24 and 26)", .encapsulated)
    /// 1.2.840.10008.1.2.4.64, retired.
    package static let jpegFullProgressionHierarchical2527 = TransferSyntax(
        "1.2.840.10008.1.2.4.64", "JPEG Full Progression, Hierarchical (Process 25 and 27)", .encapsulated)
    /// 1.2.840.10008.1.2.4.65, retired.
    package static let jpegLosslessHierarchical28 = TransferSyntax(
        "1.2.840.10008.1.2.4.65", "JPEG Lossless, Hierarchical (Process 28)", .encapsulated)
    /// 1.2.840.10008.1.2.4.66, retired.
    package static let jpegLosslessHierarchical29 = TransferSyntax(
        "1.2.840.10008.1.2.4.66", "JPEG Lossless, Hierarchical (Process 29)", .encapsulated)
    /// 1.2.840.10008.1.2.4.70.
    package static let jpegLosslessFirstOrder = TransferSyntax(
        "1.2.840.10008.1.2.4.70",
        "JPEG Lossless, Non-Hierarchical, First-Order Prediction (Process 14 [Selection Value 1])", .encapsulated)
    /// 1.2.840.10008.1.2.4.80.
    package static let jpegLSLossless = TransferSyntax(
        "1.2.840.10008.1.2.4.80", "JPEG-LS Lossless Image Compression", .encapsulated)
    /// 1.2.840.10008.1.2.4.81.
    package static let jpegLSNearLossless = TransferSyntax(
        "1.2.840.10008.1.2.4.81", "JPEG-LS Lossy (Near-Lossless) Image Compression", .encapsulated)
    /// 1.2.840.10008.1.2.4.90.
    package static let jpeg2000Lossless = TransferSyntax(
        "1.2.840.10008.1.2.4.90", "JPEG 2000 Image Compression (Lossless Only)", .encapsulated)
    /// 1.2.840.10008.1.2.4.91.
    package static let jpeg2000 = TransferSyntax("1.2.840.10008.1.2.4.91", "JPEG 2000 Image Compression", .encapsulated)
    /// 1.2.840.10008.1.2.4.92.
    package static let jpeg2000MCLossless = TransferSyntax(
        "1.2.840.10008.1.2.4.92", "JPEG 2000 Part 2 Multi-component Image Compression (Lossless Only)", .encapsulated)
    /// 1.2.840.10008.1.2.4.93.
    package static let jpeg2000MC = TransferSyntax(
        "1.2.840.10008.1.2.4.93", "JPEG 2000 Part 2 Multi-component Image Compression", .encapsulated)
    /// 1.2.840.10008.1.2.4.94.
    package static let jpipReferenced = TransferSyntax("1.2.840.10008.1.2.4.94", "JPIP Referenced", [])
    /// 1.2.840.10008.1.2.4.95.
    package static let jpipReferencedDeflate = TransferSyntax(
        "1.2.840.10008.1.2.4.95", "JPIP Referenced Deflate", .deflated)
    /// 1.2.840.10008.1.2.4.100.
    package static let mpeg2MainLevel = TransferSyntax(
        "1.2.840.10008.1.2.4.100", "MPEG2 Main Profile / Main Level", .encapsulated)
    /// 1.2.840.10008.1.2.4.100.1.
    package static let mpeg2MainLevelFragmentable = TransferSyntax(
        "1.2.840.10008.1.2.4.100.1", "Fragmentable MPEG2 Main Profile / Main Level", .encapsulated)
    /// 1.2.840.10008.1.2.4.101.
    package static let mpeg2HighLevel = TransferSyntax(
        "1.2.840.10008.1.2.4.101", "MPEG2 Main Profile / High Level", .encapsulated)
    /// 1.2.840.10008.1.2.4.101.1.
    package static let mpeg2HighLevelFragmentable = TransferSyntax(
        "1.2.840.10008.1.2.4.101.1", "Fragmentable MPEG2 Main Profile / High Level", .encapsulated)
    /// 1.2.840.10008.1.2.4.102.
    package static let mpeg4Level41 = TransferSyntax(
        "1.2.840.10008.1.2.4.102", "MPEG-4 AVC/H.264 High Profile / Level 4.1", .encapsulated)
    /// 1.2.840.10008.1.2.4.102.1.
    package static let mpeg4Level41Fragmentable = TransferSyntax(
        "1.2.840.10008.1.2.4.102.1", "Fragmentable MPEG-4 AVC/H.264 High Profile / Level 4.1", .encapsulated)
    /// 1.2.840.10008.1.2.4.103.
    package static let mpeg4Level41BD = TransferSyntax(
        "1.2.840.10008.1.2.4.103", "MPEG-4 AVC/H.264 BD-compatible High Profile / Level 4.1", .encapsulated)
    /// 1.2.840.10008.1.2.4.103.1.
    package static let mpeg4Level41BDFragmentable = TransferSyntax(
        "1.2.840.10008.1.2.4.103.1", "Fragmentable MPEG-4 AVC/H.264 BD-compatible High Profile / Level 4.1",
        .encapsulated)
    /// 1.2.840.10008.1.2.4.104.
    package static let mpeg4Level42For2D = TransferSyntax(
        "1.2.840.10008.1.2.4.104", "MPEG-4 AVC/H.264 High Profile / Level 4.2 For 2D Video", .encapsulated)
    /// 1.2.840.10008.1.2.4.104.1.
    package static let mpeg4Level42For2DFragmentable = TransferSyntax(
        "1.2.840.10008.1.2.4.104.1", "Fragmentable MPEG-4 AVC/H.264 High Profile / Level 4.2 For 2D Video",
        .encapsulated)
    /// 1.2.840.10008.1.2.4.105.
    package static let mpeg4Level42For3D = TransferSyntax(
        "1.2.840.10008.1.2.4.105", "MPEG-4 AVC/H.264 High Profile / Level 4.2 For 3D Video", .encapsulated)
    /// 1.2.840.10008.1.2.4.105.1.
    package static let mpeg4Level42For3DFragmentable = TransferSyntax(
        "1.2.840.10008.1.2.4.105.1", "Fragmentable MPEG-4 AVC/H.264 High Profile / Level 4.2 For 3D Video",
        .encapsulated)
    /// 1.2.840.10008.1.2.4.106.
    package static let mpeg4Level42Stereo = TransferSyntax(
        "1.2.840.10008.1.2.4.106", "MPEG-4 AVC/H.264 Stereo High Profile / Level 4.2", .encapsulated)
    /// 1.2.840.10008.1.2.4.106.1.
    package static let mpeg4Level42StereoFragmentable = TransferSyntax(
        "1.2.840.10008.1.2.4.106.1", "Fragmentable MPEG-4 AVC/H.264 Stereo High Profile / Level 4.2", .encapsulated)
    /// 1.2.840.10008.1.2.4.107.
    package static let hevcMain = TransferSyntax(
        "1.2.840.10008.1.2.4.107", "HEVC/H.265 Main Profile / Level 5.1", .encapsulated)
    /// 1.2.840.10008.1.2.4.108.
    package static let hevcMain10 = TransferSyntax(
        "1.2.840.10008.1.2.4.108", "HEVC/H.265 Main 10 Profile / Level 5.1", .encapsulated)
    /// 1.2.840.10008.1.2.4.110.
    package static let jpegXLLossless = TransferSyntax("1.2.840.10008.1.2.4.110", "JPEG XL Lossless", .encapsulated)
    /// 1.2.840.10008.1.2.4.111.
    package static let jpegXLJPEGRecompression = TransferSyntax(
        "1.2.840.10008.1.2.4.111", "JPEG XL JPEG Recompression", .encapsulated)
    /// 1.2.840.10008.1.2.4.112.
    package static let jpegXL = TransferSyntax("1.2.840.10008.1.2.4.112", "JPEG XL", .encapsulated)
    /// 1.2.840.10008.1.2.4.201.
    package static let htj2kLossless = TransferSyntax(
        "1.2.840.10008.1.2.4.201", "High-Throughput JPEG 2000 Image Compression (Lossless Only)", .encapsulated)
    /// 1.2.840.10008.1.2.4.202.
    package static let htj2kLosslessRPCL = TransferSyntax(
        "1.2.840.10008.1.2.4.202", "High-Throughput JPEG 2000 with RPCL Options Image Compression (Lossless Only)",
        .encapsulated)
    /// 1.2.840.10008.1.2.4.203.
    package static let htj2k = TransferSyntax(
        "1.2.840.10008.1.2.4.203", "High-Throughput JPEG 2000 Image Compression", .encapsulated)
    /// 1.2.840.10008.1.2.4.204.
    package static let jpipHTJ2KReferenced = TransferSyntax("1.2.840.10008.1.2.4.204", "JPIP HTJ2K Referenced", [])
    /// 1.2.840.10008.1.2.4.205.
    package static let jpipHTJ2KReferencedDeflate = TransferSyntax(
        "1.2.840.10008.1.2.4.205", "JPIP HTJ2K Referenced Deflate", .deflated)
    /// 1.2.840.10008.1.2.5.
    package static let rleLossless = TransferSyntax("1.2.840.10008.1.2.5", "RLE Lossless", .encapsulated)
    /// 1.2.840.10008.1.2.6.1, retired.
    package static let rfc2557MIMEEncapsulation = TransferSyntax(
        "1.2.840.10008.1.2.6.1", "RFC 2557 MIME encapsulation", [])
    /// 1.2.840.10008.1.2.6.2, retired.
    package static let xmlEncoding = TransferSyntax("1.2.840.10008.1.2.6.2", "XML Encoding", [])
    /// 1.2.840.10008.1.2.7.1.
    package static let smpteST211020UncompressedProgressiveActiveVideo = TransferSyntax(
        "1.2.840.10008.1.2.7.1", "SMPTE ST 2110-20 Uncompressed Progressive Active Video", [])
    /// 1.2.840.10008.1.2.7.2.
    package static let smpteST211020UncompressedInterlacedActiveVideo = TransferSyntax(
        "1.2.840.10008.1.2.7.2", "SMPTE ST 2110-20 Uncompressed Interlaced Active Video", [])
    /// 1.2.840.10008.1.2.7.3.
    package static let smpteST211030PCMDigitalAudio = TransferSyntax(
        "1.2.840.10008.1.2.7.3", "SMPTE ST 2110-30 PCM Digital Audio", [])
    /// 1.2.840.10008.1.2.8.1.
    package static let deflatedImageFrameCompression = TransferSyntax(
        "1.2.840.10008.1.2.8.1", "Deflated Image Frame Compression", .encapsulated)
    /// 1.2.840.10008.1.20, retired.
    package static let papyrus3ImplicitVRLittleEndian = TransferSyntax(
        "1.2.840.10008.1.20", "Papyrus 3 Implicit VR Little Endian", .implicitVR)
    /// 1.2.840.113619.5.2: the data set is little endian, only pixel data is not; kept as it comes.
    package static let gePrivateImplicitVR = TransferSyntax(
        "1.2.840.113619.5.2", "GE Private Implicit VR Big Endian", .implicitVR)

    /// All that this version knows.
    package static let all: [TransferSyntax] = [
        implicitVRLittleEndian, explicitVRLittleEndian, encapsulatedUncompressedExplicitVRLittleEndian,
        deflatedExplicitVRLittleEndian, explicitVRBigEndian, jpegBaseline, jpegExtended, jpegExtended35,
        jpegSpectralSelectionNonHierarchical68, jpegSpectralSelectionNonHierarchical79,
        jpegFullProgressionNonHierarchical1012, jpegFullProgressionNonHierarchical1113, jpegLossless,
        jpegLosslessNonHierarchical15, jpegExtendedHierarchical1618, jpegExtendedHierarchical1719,
        jpegSpectralSelectionHierarchical2022, jpegSpectralSelectionHierarchical2123,
        jpegFullProgressionHierarchical2426, jpegFullProgressionHierarchical2527, jpegLosslessHierarchical28,
        jpegLosslessHierarchical29, jpegLosslessFirstOrder, jpegLSLossless, jpegLSNearLossless, jpeg2000Lossless,
        jpeg2000, jpeg2000MCLossless, jpeg2000MC, jpipReferenced, jpipReferencedDeflate, mpeg2MainLevel,
        mpeg2MainLevelFragmentable, mpeg2HighLevel, mpeg2HighLevelFragmentable, mpeg4Level41,
        mpeg4Level41Fragmentable, mpeg4Level41BD, mpeg4Level41BDFragmentable, mpeg4Level42For2D,
        mpeg4Level42For2DFragmentable, mpeg4Level42For3D, mpeg4Level42For3DFragmentable, mpeg4Level42Stereo,
        mpeg4Level42StereoFragmentable, hevcMain, hevcMain10, jpegXLLossless, jpegXLJPEGRecompression, jpegXL,
        htj2kLossless, htj2kLosslessRPCL, htj2k, jpipHTJ2KReferenced, jpipHTJ2KReferencedDeflate, rleLossless,
        rfc2557MIMEEncapsulation, xmlEncoding, smpteST211020UncompressedProgressiveActiveVideo,
        smpteST211020UncompressedInterlacedActiveVideo, smpteST211030PCMDigitalAudio, deflatedImageFrameCompression,
        papyrus3ImplicitVRLittleEndian, gePrivateImplicitVR,
    ]
}
