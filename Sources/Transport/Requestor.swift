// SPDX-License-Identifier: Apache-2.0
import DICOMNetwork
import Glibc
import Platform

/// Opens associations to others.
package enum Requestor {
    /// Connects, proposes, and waits for the answer.
    /// - Parameters:
    ///   - tls: nil: in the clear.
    ///   - seconds: for all of it.
    package static func associate(
        with endpoint: Endpoint, tls: TLSConnector? = nil, _ request: AssociateRequest, limits: TransportLimits,
        withinSeconds seconds: Double = 30, id: UInt64 = 0
    ) throws(TransportError) -> Association {
        let deadline = Clock.deadline(seconds: seconds)
        var machine = AssociationStateMachine(role: .requestor)
        _ = machine.handle(.associateRequestByUser)
        let socket = try Socket.connect(to: endpoint, tls: tls, deadline: deadline)
        _ = machine.handle(.transportConnected)
        try socket.sendAll(request.encoded(), deadline: deadline)
        let head = try read(PDUHeader.byteCount, socket, deadline)
        let header = head.withUnsafeBytes { PDUHeader(decoding: $0)! }
        guard let type = header.type, header.length <= AssociateRequest.maximumBodyByteCount else {
            throw .protocolViolation(.unrecognizedPDU, "\(endpoint) does not speak DICOM")
        }
        let body = try read(Int(header.length), socket, deadline)
        let negotiated = try answer(type, body, request, endpoint)
        _ = machine.handle(.acceptReceived)
        return Association(
            id: id, socket: socket, negotiated: negotiated, machine: machine,
            caller: Caller(address: endpoint.description, tls: socket.tls?.peer), limits: limits)
    }

    private static func answer(
        _ type: PDUType, _ body: [UInt8], _ request: AssociateRequest, _ endpoint: Endpoint
    ) throws(TransportError) -> NegotiatedAssociation {
        do {
            return try body.withRawBytes { bytes throws(any Error) in
                switch type {
                case .associateAccept:
                    return try Negotiation.complete(request: request, accept: AssociateAccept(decodingBody: bytes))
                case .associateReject: throw TransportError.rejected(try AssociateReject(decodingBody: bytes))
                case .abort: throw TransportError.abortedByPeer(try Abort(decodingBody: bytes))
                default: throw TransportError.protocolViolation(.unexpectedPDU, "unexpected \(type) from \(endpoint)")
                }
            }
        } catch let error as TransportError {
            throw error
        } catch {
            throw .protocolViolation(.invalidPDUParameterValue, "\(endpoint) answered with a faulty PDU: \(error)")
        }
    }

    private static func read(_ count: Int, _ socket: Socket, _ deadline: UInt64) throws(TransportError) -> [UInt8] {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while bytes.count < count {
            let wanted = min(buffer.count, count - bytes.count)
            let received = try buffer.withMutableRawBytes { memory throws(TransportError) in
                try socket.receive(into: UnsafeMutableRawBufferPointer(rebasing: memory[..<wanted]))
            }
            if let received {
                guard received > 0 else { throw .closed }
                bytes += buffer[..<received]
            } else if !Poll.wait(socket.raw, Int16(POLLIN), deadline: deadline) {
                throw .timedOut("no answer from the peer")
            }
        }
        return bytes
    }
}
