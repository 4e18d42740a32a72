// SPDX-License-Identifier: Apache-2.0
package struct SpecificCharacterSet: Sendable, Hashable {
  package var definedTerms: [String]
  package init(definedTerms: [String]) { self.definedTerms = definedTerms }
  package init?(override: String) { if override.isEmpty { return nil }; definedTerms = [override] }
  package static let ascii = SpecificCharacterSet(definedTerms: [])
  package static let utf8 = SpecificCharacterSet(definedTerms: ["ISO_IR 192"])
  package func decode(_ b: UnsafeRawBufferPointer, vr: VR) -> String { String(decoding: b, as: UTF8.self) }
  package func decodeValues(_ b: UnsafeRawBufferPointer, vr: VR) -> [String] { decode(b, vr: vr).split(separator: "\\", omittingEmptySubsequences: false).map { String($0).trimmingEnd() } }
  package func encode(_ t: String) -> [UInt8]? { Array(t.utf8) }
}
extension String { func trimmingEnd() -> String { var s = self[...]; while let l = s.last, l == " " || l == "\0" { s.removeLast() }; return String(s) } }
package enum SearchFolding { package static func fold(_ s: String) -> String { s.lowercased() } }
