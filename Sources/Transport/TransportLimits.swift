// SPDX-License-Identifier: Apache-2.0

/// How long and how much an association may be waited for.
package struct TransportLimits: Sendable {
    /// ARTIM (PS3.8 section 9.1.4): from the connection to a whole A-ASSOCIATE-RQ, and for the peer to close at the end.
    package var artimSeconds: Double = 30
    /// Silence between messages.
    package var idleSeconds: Double = 600
    /// Silence within a message, and for the peer to take what we send.
    package var pduSeconds: Double = 30
    /// A message slower than this is given up once it has lasted `pduSeconds`.
    package var minimumBytesPerSecond: Double = 1000
    /// PDU length that we announce and accept.
    package var maximumPDULength: Int = 1 << 20

    package init() {}
}
