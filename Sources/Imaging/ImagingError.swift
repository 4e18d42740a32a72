// SPDX-License-Identifier: Apache-2.0

/// Why an image is not decoded, made or shown.
package enum ImagingError: Error, CustomStringConvertible {
    /// What is asked for makes no sense of this image.
    case wrongParameter(String)
    /// The image contradicts itself or its bit stream is damaged.
    case malformed(String)
    /// Nothing here can do that.
    case unsupported(String)
    case tooLarge(String)
    /// The decoder died of the image, or was stopped because it took too long or too much.
    case decoderStopped(String)
    /// All decoders are busy for longer than a request waits.
    case busy
    /// A decoder cannot be started.
    case failed(String)

    package var description: String {
        switch self {
        case .wrongParameter(let why): why
        case .malformed(let why): "The image cannot be decoded: \(why)"
        case .unsupported(let why): "This image cannot be given in that form: \(why)"
        case .tooLarge(let why): "The image is too large to be decoded here: \(why)"
        case .decoderStopped(let why): "The image cannot be decoded: \(why); fetch it as it is stored instead"
        case .busy: "All image decoders are busy; try again in a moment"
        case .failed(let why): "An image decoder cannot be started: \(why)"
        }
    }
}
