// SPDX-License-Identifier: Apache-2.0
import DICOM
import HTTP
import Imaging

/// The query parameters of rendered resources (PS3.18 section 8.3.5.1).
package enum RenderingParameters {
    package static func options(_ request: HTTPRequest, isThumbnail: Bool) throws(HTTPProblem) -> RenderingOptions {
        var options = RenderingOptions()
        for (name, value) in request.query {
            switch name {
            case "viewport": try viewport(value, &options)
            case "window" where !isThumbnail: options.window = try window(value)
            case "quality" where !isThumbnail:
                guard let quality = UInt32(value), (1...100).contains(quality) else {
                    throw HTTPProblem(400, "quality must be a number from 1 to 100")
                }
                options.quality = quality
            default: continue
            }
        }
        return options
    }

    /// `vw,vh` or `vw,vh,sx,sy,sw,sh`; parts of the second form may be empty.
    private static func viewport(_ text: String, _ options: inout RenderingOptions) throws(HTTPProblem) {
        let parts = text.split(separator: ",", omittingEmptySubsequences: false)
        guard parts.count == 2 || parts.count == 6, let width = UInt32(parts[0]), let height = UInt32(parts[1]),
            (1...16_384).contains(width), (1...16_384).contains(height)
        else {
            throw HTTPProblem(
                400, "viewport must be width,height or width,height,x,y,width,height in pixels up to 16384")
        }
        (options.viewportWidth, options.viewportHeight) = (width, height)
        for (index, part) in parts.dropFirst(2).enumerated() where !part.isEmpty {
            guard let number = Double(part), number.magnitude <= 1e6 else {
                throw HTTPProblem(400, "The region of a viewport must be numbers")
            }
            options.region[index] = number
        }
    }

    /// `center,width,function`.
    private static func window(_ text: String) throws(HTTPProblem) -> RenderingOptions.Window {
        let parts = text.split(separator: ",", omittingEmptySubsequences: false)
        let functions: [String: RenderingOptions.WindowFunction] = [
            "linear": .linear, "linear-exact": .linearExact, "sigmoid": .sigmoid,
        ]
        guard parts.count == 3, let center = Double(parts[0]), let width = Double(parts[1]), center.isFinite,
            width.isFinite, width > 0, let function = functions[parts[2].lowercased()]
        else {
            throw HTTPProblem(400, "window must be center,width,function with linear, linear-exact or sigmoid")
        }
        return RenderingOptions.Window(center: center, width: width, function: function)
    }

    /// What is burnt into the picture.
    struct Annotation: CustomStringConvertible {
        let showsPatient: Bool
        let showsTechnique: Bool

        var description: String { "\(showsPatient) \(showsTechnique)" }

        /// The lines, from a header.
        func text(_ header: DataSet) -> String {
            let characterSet = header.characterSet()
            func value(_ tag: Tag) -> String? {
                guard let element = header[tag], !element.value.isEmpty else { return nil }
                let text = element.value.withUnsafeBytes { characterSet.decode($0, vr: element.vr) }
                return text.isEmpty ? nil : text
            }
            var lines: [String?] = []
            if showsPatient {
                let name = value(.patientName).map { PersonName($0).alphabetic.text.replacing("^", with: " ") }
                lines += [name, value(.patientID), value(.patientBirthDate), value(.patientSex)]
            }
            if showsTechnique {
                let exposure = [
                    value(Tag(0x0018_0060)).map { "\($0) kV" }, value(Tag(0x0018_1152)).map { "\($0) mAs" },
                ]
                lines += [
                    value(.modality), value(.seriesDescription), value(.studyDate),
                    value(Tag(0x0018_0050)).map { "\($0) mm" }, exposure.compactMap { $0 }.joined(separator: " "),
                ]
            }
            return lines.compactMap { $0 }.filter { !$0.isEmpty }.joined(separator: "\n")
        }
    }

    static func annotation(_ request: HTTPRequest) throws(HTTPProblem) -> Annotation {
        let parts = request.query.filter { $0.name == "annotation" }.flatMap { $0.value.split(separator: ",") }
        guard parts.allSatisfy({ $0 == "patient" || $0 == "technique" }) else {
            throw HTTPProblem(400, "annotation must be patient, technique, or both parted by a comma")
        }
        return Annotation(showsPatient: parts.contains("patient"), showsTechnique: parts.contains("technique"))
    }
}
