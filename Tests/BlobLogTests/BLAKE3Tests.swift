// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import BlobLog

/// Digests by `b3sum` 1.2.0 and PyPI's blake3 1.0.11 of bytes that count from 0 to 250, again and again.
@Suite("BLAKE3")
struct BLAKE3Tests {
    private static let known: [(count: Int, digest: String)] =
        [
            (0, "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"),
            (1, "2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213"),
            (63, "e9bc37a594daad83be9470df7f7b3798297c3d834ce80ba85d6e207627b7db7b"),
            (64, "4eed7141ea4a5cd4b788606bd23f46e212af9cacebacdc7d1f4c6dc7f2511b98"),
            (65, "de1e5fa0be70df6d2be8fffd0e99ceaa8eb6e8c93a63f2d8d1c30ecb6b263dee"),
            (1_023, "10108970eeda3eb932baac1428c7a2163b0e924c9a9e25b35bba72b28f70bd11"),
            (1_024, "42214739f095a406f3fc83deb889744ac00df831c10daa55189b5d121c855af7"),
            (1_025, "d00278ae47eb27b34faecf67b4fe263f82d5412916c1ffd97c8cb7fb814b8444"),
            (2_048, "e776b6028c7cd22a4d0ba182a8bf62205d2ef576467e838ed6f2529b85fba24a"),
            (3_072, "b98cb0ff3623be03326b373de6b9095218513e64f1ee2edd2525c7ad1e5cffd2"),
            (3_073, "7124b49501012f81cc7f11ca069ec9226cecb8a2c850cfe644e327d22d3e1cd3"),
            (4_096, "015094013f57a5277b59d8475c0501042c0b642e531b0a1c8f58d2163229e969"),
            (4_097, "9b4052b38f1c5fc8b1f9ff7ac7b27cd242487b3d890d15c96a1c25b8aa0fb995"),
            (8_192, "aae792484c8efe4f19e2ca7d371d8c467ffb10748d8a5a1ae579948f718a2a63"),
            (8_193, "bab6c09cb8ce8cf459261398d2e7aef35700bf488116ceb94a36d0f5f1b7bc3b"),
            (15_360, "dc62f909be1b86aeffb12594b22fd9756540022f0ac9a050730d6989a036f6b0"),
            (16_384, "f875d6646de28985646f34ee13be9a576fd515f76b5b0a26bb324735041ddde4"),
            (16_385, "1dabe216be2578830263b049de1639f39f05a4da616b9b78c7a5e4e41662fd1f"),
            (32_768, "162183d1f9184474f5a5c9e6224e66720cdb6523f822e52d9b1efa30893f48f9"),
            (32_769, "da589428d9b32c97658a04a21c0c8a38aad2ac402120819d956fd6d62bbfa36e"),
            (65_537, "7c99f9840a73dfcb6e5bfe4ff6d1558acab7e015640790c26411818bdbe17eca"),
            (131_072, "306baba93b1a393cbd35172837c98b0f59a41f64e1b2682ae102d8b2534b9e1c"),
            (262_145, "531c319935cf78f34869faebd865e5748266b1799039103bfb851a680d9ed30c"),
            (1_048_576, "74cb441fd087764ca9c3694da742ebe30cbeb3060a17009ca81825c7a8d10343"),
            (1_234_567, "ca014979ecc830950ccb394465f3fe3040993aeb46be26e2a01f073d2190e2b1"),
        ]

    private static let bytes = (0..<1_234_567).map { UInt8($0 % 251) }

    private func digest(_ count: Int, lanes: Int, pieces: [Int]) -> String {
        let hash = BLAKE3(lanes: lanes)
        Self.bytes.withUnsafeBytes { all in
            var offset = 0
            var turn = 0
            while offset < count {
                let end = min(count, offset + pieces[turn % pieces.count])
                hash.update(UnsafeRawBufferPointer(rebasing: all[offset..<end]))
                offset = end
                turn += 1
            }
        }
        return BlobID(hash.finish()).description
    }

    /// Kinds of processors that this one is not are left out: their functions would end the process.
    private static let lanes = [4, 8, 16].filter { $0 <= BLAKE3.lanesOfThisProcessor }

    @Test("The digest is that of others, on each kind of processor that this one can be", arguments: lanes)
    func known(lanes: Int) {
        for (count, digest) in Self.known {
            #expect(self.digest(count, lanes: lanes, pieces: [.max / 2]) == digest, "\(count) bytes")
        }
    }

    @Test(
        "It does not depend on the pieces in which the bytes come",
        arguments: lanes, [[1], [63, 2], [1024], [1023, 1, 64], [16_384], [16_383, 2], [65_536, 7], [131_060, 12]])
    func pieces(lanes: Int, pieces: [Int]) {
        for (count, digest) in Self.known where count <= 131_072 || pieces[0] >= 1024 {
            #expect(self.digest(count, lanes: lanes, pieces: pieces) == digest, "\(count) bytes")
        }
    }

    @Test("Nothing at all has a digest, too")
    func empty() {
        let hash = BLAKE3()
        hash.update(UnsafeRawBufferPointer(start: nil, count: 0))
        #expect(BlobID(hash.finish()).description == Self.known[0].digest)
    }
}
