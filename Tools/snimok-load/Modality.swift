// SPDX-License-Identifier: Apache-2.0
import Seeded

/// What one kind of machine sends: the classes of its objects, and what its studies are called.
struct Modality {
    let code: String
    let sopClassUID: String
    /// For objects of more than one frame.
    let multiFrameClassUID: String
    let bodyParts: [String]
    let descriptions: [String]

    static let all: [Modality] = [
        Modality(
            code: "CT", sopClassUID: "1.2.840.10008.5.1.4.1.1.2", multiFrameClassUID: "1.2.840.10008.5.1.4.1.1.2.1",
            bodyParts: ["CHEST", "ABDOMEN", "HEAD"],
            descriptions: ["КТ органов грудной клетки", "КТ головного мозга", "CT Abdomen with contrast", "CT Thorax"]),
        Modality(
            code: "MR", sopClassUID: "1.2.840.10008.5.1.4.1.1.4", multiFrameClassUID: "1.2.840.10008.5.1.4.1.1.4.1",
            bodyParts: ["HEAD", "KNEE", "LSPINE"],
            descriptions: ["МРТ головного мозга", "МРТ коленного сустава", "MRI Lumbar spine", "MRI Brain"]),
        Modality(
            code: "CR", sopClassUID: "1.2.840.10008.5.1.4.1.1.1", multiFrameClassUID: multiFrameCapture,
            bodyParts: ["CHEST", "HAND"], descriptions: ["Рентгенография ОГК", "Chest PA"]),
        Modality(
            code: "DX", sopClassUID: "1.2.840.10008.5.1.4.1.1.1.1", multiFrameClassUID: multiFrameCapture,
            bodyParts: ["CHEST", "FOOT"], descriptions: ["Рентгенография стопы", "Chest PA and lateral"]),
        Modality(
            code: "MG", sopClassUID: "1.2.840.10008.5.1.4.1.1.1.2",
            multiFrameClassUID: "1.2.840.10008.5.1.4.1.1.13.1.3", bodyParts: ["BREAST"],
            descriptions: ["Маммография", "Screening mammography"]),
        Modality(
            code: "PT", sopClassUID: "1.2.840.10008.5.1.4.1.1.128", multiFrameClassUID: "1.2.840.10008.5.1.4.1.1.130",
            bodyParts: ["WHOLEBODY"], descriptions: ["ПЭТ всего тела", "PET whole body"]),
        Modality(
            code: "US", sopClassUID: "1.2.840.10008.5.1.4.1.1.6.1", multiFrameClassUID: "1.2.840.10008.5.1.4.1.1.3.1",
            bodyParts: ["ABDOMEN", "HEART"], descriptions: ["УЗИ брюшной полости", "Echocardiography"]),
        Modality(
            code: "OT", sopClassUID: "1.2.840.10008.5.1.4.1.1.7", multiFrameClassUID: multiFrameCapture,
            bodyParts: ["HEAD"], descriptions: ["Снимок экрана", "Screen capture"]),
    ]

    /// Of a hundred studies of a region, about so many.
    private static let shares = [
        ("CT", 24), ("MR", 12), ("CR", 26), ("DX", 22), ("US", 10), ("MG", 5), ("PT", 1),
    ]

    /// A study's modality where they are mixed as in a region.
    static func mixed(_ random: inout SplitMix) -> Modality {
        var number = random.below(100)
        for (code, share) in shares {
            number -= share
            if number < 0 { return all.first { $0.code == code }! }
        }
        preconditionFailure("the shares are less than a hundred")
    }

    /// Multi-frame Grayscale Word Secondary Capture, for machines without a multi-frame class of their own.
    private static let multiFrameCapture = "1.2.840.10008.5.1.4.1.1.7.3"
}
