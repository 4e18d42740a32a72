// SPDX-License-Identifier: Apache-2.0

/// How a frame is to be shown (PS3.18 section 8.3.5).
package struct RenderingOptions: Sendable, Hashable {
    package enum Format: UInt32, Sendable { case jpeg, png, raw }
    /// PS3.3 section C.11.2.1.2.
    package enum WindowFunction: UInt32, Sendable { case linear, linearExact, sigmoid }

    package struct Window: Sendable, Hashable {
        package var center: Double
        package var width: Double
        package var function: WindowFunction

        package init(center: Double, width: Double, function: WindowFunction) {
            self.center = center
            self.width = width
            self.function = function
        }
    }

    package var format = Format.jpeg
    /// 1 to 100.
    package var quality: UInt32 = 90
    /// 0: as the source.
    package var viewportWidth: UInt32 = 0
    package var viewportHeight: UInt32 = 0
    /// x, y, width, height in pixels of the source; a negative extent flips.
    package var region: [Double] = [0, 0, 0, 0]
    /// Left, top, right and bottom of the source, from 0 to 1, in place of `region`.
    package var relativeRegion: [Double]?
    package var window: Window?
    package var showsOverlays = true
    /// Lines of text to be burnt in.
    package var annotation = ""

    package init() {}
}

/// A picture made.
package struct RenderedPicture: Sendable {
    package let bytes: [UInt8]
    package let width: Int
    package let height: Int
    /// 1: grey, 3: RGB.
    package let samples: Int
}
