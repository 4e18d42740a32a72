// SPDX-License-Identifier: Apache-2.0
import DICOM

/// The media types of frames (PS3.18 tables 8.7.3-2 and 8.7.3-5).
enum FrameMedia {
    /// How a frame stored in a syntax is called.
    static func type(of syntax: TransferSyntax) -> String {
        switch syntax.uid {
        case "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70":
            "image/jpeg"
        case "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81": "image/jls"
        case "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91": "image/jp2"
        case "1.2.840.10008.1.2.4.92", "1.2.840.10008.1.2.4.93": "image/jpx"
        case "1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.4.202", "1.2.840.10008.1.2.4.203": "image/jphc"
        case "1.2.840.10008.1.2.4.110", "1.2.840.10008.1.2.4.111", "1.2.840.10008.1.2.4.112": "image/jxl"
        case "1.2.840.10008.1.2.5": "image/dicom-rle"
        case "1.2.840.10008.1.2.4.100", "1.2.840.10008.1.2.4.101": "video/mpeg2"
        case "1.2.840.10008.1.2.4.102", "1.2.840.10008.1.2.4.103", "1.2.840.10008.1.2.4.104",
            "1.2.840.10008.1.2.4.105", "1.2.840.10008.1.2.4.106":
            "video/mp4"
        default: Media.bytes
        }
    }

    /// The syntax in which an image type is made where the client names none.
    static func syntax(of type: String) -> TransferSyntax? {
        switch type {
        case "image/jls": TransferSyntax(uid: "1.2.840.10008.1.2.4.80")
        case "image/jp2": TransferSyntax(uid: "1.2.840.10008.1.2.4.90")
        case "image/jpeg": TransferSyntax(uid: "1.2.840.10008.1.2.4.50")
        case "image/dicom-rle": TransferSyntax(uid: "1.2.840.10008.1.2.5")
        case Media.bytes: .explicitVRLittleEndian
        default: nil
        }
    }

    /// As a part's Content-Type: viewers choose the decoder by it.
    static func contentType(_ syntax: TransferSyntax) -> String {
        let told = syntax.isEncapsulated ? syntax : .explicitVRLittleEndian
        return "\(type(of: syntax)); transfer-syntax=\(told.uid)"
    }
}

/// In which form bulk pixel data goes out.
struct FrameForm {
    /// nil: as stored.
    let syntax: TransferSyntax?
    let isMultipart: Bool

    /// What the client likes best of what can be had.
    /// - Parameters:
    ///   - stored: the syntax of the instance.
    ///   - canEncode: whether frames can be made in a syntax that they are not stored in.
    static func choose(
        _ negotiation: Negotiation, stored: TransferSyntax, canMake: (TransferSyntax) -> Bool
    ) -> FrameForm? {
        for wanted in negotiation.accepted {
            let isMultipart = wanted.name == Media.multipart || wanted.name == "multipart/*" || wanted.name == "*/*"
            let type = isMultipart ? wanted["type"]?.lowercased() ?? Media.bytes : wanted.name
            if let syntax = syntax(type, wanted["transfer-syntax"], stored, canMake) {
                return FrameForm(syntax: syntax == stored ? nil : syntax, isMultipart: isMultipart)
            }
        }
        return nil
    }

    private static func syntax(
        _ type: String, _ uid: String?, _ stored: TransferSyntax, _ canMake: (TransferSyntax) -> Bool
    ) -> TransferSyntax? {
        // Any syntax will do: the bytes as they are.
        if uid == "*", type == Media.bytes || type == FrameMedia.type(of: stored) { return stored }
        if type == "*/*", uid == nil || uid == "*" { return stored }
        let isStoredType = type == FrameMedia.type(of: stored) || type == "image/*" || type == "video/*"
        if let uid, uid != "*" {
            let syntax = TransferSyntax(uid: uid)
            if syntax == stored { return stored }
            let fits = type == Media.bytes || type == FrameMedia.type(of: syntax)
            return fits && canMake(syntax) ? syntax : nil
        }
        if type == Media.bytes {
            return stored.isEncapsulated ? canMake(.explicitVRLittleEndian) ? .explicitVRLittleEndian : nil : stored
        }
        if isStoredType { return stored }
        return FrameMedia.syntax(of: type).flatMap { canMake($0) ? $0 : nil }
    }
}
