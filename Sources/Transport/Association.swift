// SPDX-License-Identifier: Apache-2.0
import DICOMNetwork
import Glibc
import Platform
import Synchronization

/// Where the bytes of a data set go as they are received.
package protocol DataSetSink: AnyObject {
    /// Room for at least one byte; never more is written than fits.
    func room() -> UnsafeMutableRawBufferPointer
    /// The first `count` bytes of the last room are filled. What goes wrong here is remembered and told at the end, for
    /// the rest of the message has to be taken off the wire in any case.
    func received(_ count: Int)
}

/// An established association: the only place that performs the state machine's actions on a socket. One thread drives
/// it with straight-line calls, each of which has a deadline.
package final class Association {
    package enum Incoming {
        case command(CommandSet, contextID: UInt8)
        /// The peer asks for the release; answer with `confirmRelease`.
        case releaseRequested
    }

    private static let stagingBytes = 8192
    private static let commandMaximum = 1 << 16

    package let id: UInt64
    package let negotiated: NegotiatedAssociation
    /// The other end.
    package let caller: Caller
    /// The peer's address without its port; empty on the socket in the data directory.
    package var peerAddress: String { caller.address }
    package let limits: TransportLimits
    /// Rates in bytes a second that both directions keep, shared with other associations.
    package var rates: [RateLimit] = []
    /// Signalled from other threads; `onWake` then runs on this association's thread.
    package let wakeUp: WakeUp
    package var onWake: (() throws(TransportError) -> Void)?
    /// Runs on this association's thread when nothing has come for half a second between two messages.
    package var onIdle: (() throws(TransportError) -> Void)?
    /// Whether a shutdown may end the association now; what is outstanding is answered first.
    package var mayStop: () -> Bool = { true }

    private let socket: Socket
    private var machine: AssociationStateMachine
    private let isStopping: @Sendable () -> Bool

    // Input: bytes read ahead, and where we are in the PDU and the PDV at hand.
    private let staging = UnsafeMutableRawBufferPointer.allocate(byteCount: stagingBytes, alignment: 8)
    private var stagingStart = 0
    private var stagingEnd = 0
    private var pduRemaining = 0
    private var isWithinMessage = false
    private var messageStart: UInt64 = 0
    private var messageBytes = 0

    /// PDUs that wait to be written together with what follows.
    private var output: [UInt8] = []

    /// - Parameter machine: in the state of an association that is established.
    package init(
        id: UInt64, socket: Socket, negotiated: NegotiatedAssociation, machine: AssociationStateMachine,
        caller: Caller, limits: TransportLimits, isStopping: @escaping @Sendable () -> Bool = { false }
    ) {
        self.id = id
        self.socket = socket
        self.negotiated = negotiated
        self.machine = machine
        self.caller = caller
        self.limits = limits
        self.isStopping = isStopping
        wakeUp = WakeUp()
    }

    deinit { staging.deallocate() }

    // MARK: Receiving

    /// Waits for the next message's command or the wish to release.
    package func nextMessage() throws(TransportError) -> Incoming {
        isWithinMessage = false
        var command: [UInt8] = []
        var contextID: UInt8 = 0
        while true {
            guard let fragment = try nextFragment() else { return .releaseRequested }
            startMessage()
            guard fragment.isCommand else { throw violation(.unexpectedPDUParameter, "data set without a command") }
            guard command.isEmpty || fragment.contextID == contextID else {
                throw violation(.invalidPDUParameterValue, "fragments of two messages mixed")
            }
            contextID = fragment.contextID
            guard command.count + fragment.length <= Self.commandMaximum else {
                throw violation(.invalidPDUParameterValue, "command set longer than 64 KiB")
            }
            try append(fragment.length, to: &command)
            if fragment.isLast { break }
        }
        do {
            return .command(try command.withUnsafeBytes { bytes in try CommandSet.decode(bytes) }, contextID: contextID)
        } catch {
            throw violation(.invalidPDUParameterValue, "command set cannot be read: \(error)")
        }
    }

    /// Takes the data set that follows a command off the wire, straight into the sink's memory.
    package func receiveDataSet(contextID: UInt8, into sink: some DataSetSink) throws(TransportError) {
        while true {
            guard let fragment = try nextFragment() else {
                throw violation(.unexpectedPDU, "release within a message")
            }
            guard !fragment.isCommand, fragment.contextID == contextID else {
                throw violation(.invalidPDUParameterValue, "fragments of two messages mixed")
            }
            var remaining = fragment.length
            while remaining > 0 {
                let room = sink.room()
                let count = try read(into: UnsafeMutableRawBufferPointer(rebasing: room[..<min(room.count, remaining)]))
                remaining -= count
                sink.received(count)
            }
            if fragment.isLast { return }
        }
    }

    /// Whether something is there to be read, without waiting or within a time of the monotonic clock.
    package func hasInput(until deadline: UInt64 = 0) -> Bool {
        stagingEnd > stagingStart || socket.hasInput(until: deadline)
    }

    private struct Fragment {
        let contextID: UInt8
        let isCommand: Bool
        let isLast: Bool
        let length: Int
    }

    /// The head of the next PDV; nil when the peer asks for a release instead. Its bytes must be read before the next.
    private func nextFragment() throws(TransportError) -> Fragment? {
        if pduRemaining == 0, try !nextDataPDU() { return nil }
        try need(PDVHeader.byteCount)
        let header = PDVHeader(decoding: staged(PDVHeader.byteCount))!
        guard let length = header.fragmentLength, length <= pduRemaining - PDVHeader.byteCount else {
            throw violation(.invalidPDUParameterValue, "PDV length \(header.itemLength) does not fit its PDU")
        }
        stagingStart += PDVHeader.byteCount
        pduRemaining -= PDVHeader.byteCount + length
        return Fragment(contextID: header.contextID, isCommand: header.isCommand, isLast: header.isLast, length: length)
    }

    /// Steps to the next P-DATA-TF; false at an A-RELEASE-RQ.
    private func nextDataPDU() throws(TransportError) -> Bool {
        while true {
            if wakeFlag.exchange(false, ordering: .acquiring) { try woken() }
            let (type, length) = try nextPDUHeader()
            switch type {
            case .data:
                try perform(.dataReceived)
                if length == 0 { continue }
                pduRemaining = length
                return true
            case .releaseRequest:
                _ = try body(length)
                try perform(.releaseRequestReceived)
                return false
            case .abort:
                let abort = (try? Abort(decodingBody: UnsafeRawBufferPointer(try body(length)))) ?? .notSpecified
                try? perform(.abortReceived)
                throw .abortedByPeer(abort)
            case .associateRequest, .associateAccept, .associateReject, .releaseResponse:
                throw violation(.unexpectedPDU, "unexpected \(type)")
            }
        }
    }

    private func nextPDUHeader() throws(TransportError) -> (PDUType, Int) {
        try need(PDUHeader.byteCount)
        let header = PDUHeader(decoding: staged(PDUHeader.byteCount))!
        startMessage()
        guard let type = header.type else {
            throw violation(.unrecognizedPDU, "unrecognized PDU type \(header.typeCode)")
        }
        // PS3.8 D.1: the maximum concerns the variable field, that is what follows the six bytes of the head.
        let maximum = type == .data ? limits.maximumPDULength : 4096
        guard header.length <= maximum else {
            throw violation(.invalidPDUParameterValue, "PDU length \(header.length) above the maximum of \(maximum)")
        }
        stagingStart += PDUHeader.byteCount
        return (type, Int(header.length))
    }

    private func body(_ length: Int) throws(TransportError) -> UnsafeRawBufferPointer {
        try need(length)
        defer { stagingStart += length }
        return staged(length)
    }

    private func startMessage() {
        guard !isWithinMessage else { return }
        isWithinMessage = true
        messageStart = Clock.monotonicNanoseconds()
        messageBytes = 0
    }

    private func append(_ count: Int, to bytes: inout [UInt8]) throws(TransportError) {
        var remaining = count
        while remaining > 0 {
            try need(1)
            let part = min(remaining, stagingEnd - stagingStart)
            bytes.append(contentsOf: staged(part))
            stagingStart += part
            remaining -= part
        }
    }

    private func staged(_ count: Int) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: staging[stagingStart..<stagingStart + count])
    }

    /// Reads into `target` what is there: first what was read ahead, then from the socket past all buffers.
    private func read(into target: UnsafeMutableRawBufferPointer) throws(TransportError) -> Int {
        let ahead = min(target.count, stagingEnd - stagingStart)
        if ahead > 0 {
            target.copyMemory(from: staged(ahead))
            stagingStart += ahead
            return ahead
        }
        stagingStart = 0
        stagingEnd = 0
        let room = min(target.count, movedMaximum)
        let count = try receive(iovec(iov_base: target.baseAddress, iov_len: room))
        let direct = min(count, room)
        stagingEnd = count - direct
        return direct
    }

    /// Makes sure that so many bytes are in the staging buffer.
    private func need(_ count: Int) throws(TransportError) {
        guard stagingEnd - stagingStart < count else { return }
        precondition(count <= Self.stagingBytes)
        if stagingStart > 0 {
            memmove(staging.baseAddress!, staging.baseAddress! + stagingStart, stagingEnd - stagingStart)
            stagingEnd -= stagingStart
            stagingStart = 0
        }
        while stagingEnd < count { stagingEnd += try receive(nil) }
    }

    /// Reads at least one byte: into `first` as far as given, what is over behind `stagingEnd`.
    private func receive(_ first: iovec?) throws(TransportError) -> Int {
        var silentSince: UInt64?
        while true {
            var vectors = (
                first ?? iovec(),
                iovec(iov_base: staging.baseAddress! + stagingEnd, iov_len: Self.stagingBytes - stagingEnd)
            )
            let count = try withUnsafeMutableBytes(of: &vectors) { bytes throws(TransportError) in
                let both = bytes.assumingMemoryBound(to: iovec.self)
                return try socket.receive(first == nil ? UnsafeMutableBufferPointer(rebasing: both[1...]) : both)
            }
            if let count {
                guard count > 0 else { throw closedByPeer() }
                startMessage()
                messageBytes += count
                keepRates(count)
                return count
            }
            // Bytes of an unfinished TLS record end no silence.
            let start = silentSince ?? Clock.monotonicNanoseconds()
            silentSince = start
            try waitForInput(since: start)
        }
    }

    private func closedByPeer() -> TransportError {
        try? perform(.transportClosed)
        return .closed
    }

    private let wakeFlag = Atomic<Bool>(false)

    /// Has `onWake` run soon on the association's own thread, from whichever thread.
    package func wake() {
        wakeFlag.store(true, ordering: .releasing)
        wakeUp.signal()
    }

    private func waitForInput(since start: UInt64) throws(TransportError) {
        let patience = isWithinMessage ? limits.pduSeconds : limits.idleSeconds
        let deadline = start + UInt64(patience * 1e9)
        func silent() -> TransportError {
            timeOut(isWithinMessage ? "peer fell silent within a message" : "association idle for too long")
        }
        if Clock.monotonicNanoseconds() >= deadline { throw silent() }
        while true {
            if !isWithinMessage, isStopping(), mayStop() { throw stop() }
            var entries = (
                pollfd(fd: socket.raw, events: Int16(POLLIN), revents: 0),
                pollfd(fd: wakeUp.file.raw, events: Int16(POLLIN), revents: 0)
            )
            // Between messages a look at `isStopping` twice a second; a drained server need not wait for idle peers.
            let slice = isWithinMessage ? deadline : min(deadline, Clock.deadline(seconds: 0.5))
            let ready = withUnsafeMutableBytes(of: &entries) {
                Poll.wait($0.assumingMemoryBound(to: pollfd.self).baseAddress!, count: 2, deadline: slice)
            }
            if entries.1.revents != 0 {
                wakeUp.clear()
                wakeFlag.store(false, ordering: .releasing)
                try woken()
            }
            if entries.0.revents != 0 { return try checkRate() }
            if ready == 0, Clock.monotonicNanoseconds() >= deadline { throw silent() }
            if ready == 0, !isWithinMessage { try onIdle?() }
        }
    }

    /// A peer of one byte a second never falls silent; it is given up for being too slow.
    private func checkRate() throws(TransportError) {
        guard isWithinMessage else { return }
        let seconds = Double(Clock.monotonicNanoseconds() - messageStart) / 1e9
        if seconds > limits.pduSeconds, Double(messageBytes) < seconds * limits.minimumBytesPerSecond {
            throw timeOut("peer sends less than \(Int(limits.minimumBytesPerSecond)) bytes a second")
        }
    }

    private func woken() throws(TransportError) { try onWake?() }

    // MARK: Sending

    /// Sends a message with a data set that lies in memory, or none, in one write.
    package func send(_ command: CommandSet, contextID: UInt8, dataSet: UnsafeRawBufferPointer? = nil)
        throws(TransportError)
    {
        queue(command, contextID: contextID, dataSet: dataSet)
        try flush()
    }

    /// Keeps a message back to be written together with what comes next.
    package func queue(_ command: CommandSet, contextID: UInt8, dataSet: UnsafeRawBufferPointer? = nil) {
        PDataWriter.appendMessage(
            to: &output, contextID: contextID, command: command.encoded(), dataSet: dataSet,
            maximumLength: negotiated.peerMaximumLength)
    }

    package var queuedBytes: Int { output.count }

    /// Forgets what was kept back.
    package func discardQueued() { output.removeAll(keepingCapacity: true) }

    package func flush() throws(TransportError) {
        guard !output.isEmpty else { return }
        try perform(.dataByUser)
        try write(payloads: [])
    }

    /// Sends a piece of a data set whose command was queued; the bytes go from where they are into the socket.
    package func sendDataSet(
        _ bytes: UnsafeRawBufferPointer, contextID: UInt8, isLast: Bool
    ) throws(TransportError) {
        let capacity = PDataWriter.fragmentCapacity(maximumLength: negotiated.peerMaximumLength)
        var offset = 0
        repeat {
            let count = min(capacity, bytes.count - offset)
            let end = offset + count
            try append(
                fragment: UnsafeRawBufferPointer(rebasing: bytes[offset..<end]), contextID: contextID,
                isLast: isLast && end == bytes.count)
            offset = end
        } while offset < bytes.count
        try perform(.dataByUser)
        try write(payloads: payloads)
        payloads.removeAll(keepingCapacity: true)
    }

    /// Sends whole P-DATA-TF PDUs that were encoded before.
    package func sendEncoded(_ bytes: UnsafeRawBufferPointer) throws(TransportError) {
        try perform(.dataByUser)
        try write(payloads: [(output.count, bytes)])
    }

    /// Fragments that wait to be written: where in `output` they belong, and their bytes.
    private var payloads: [(position: Int, bytes: UnsafeRawBufferPointer)] = []

    private func append(fragment: UnsafeRawBufferPointer, contextID: UInt8, isLast: Bool) throws(TransportError) {
        let start = output.count
        output.append(contentsOf: repeatElement(0, count: PDataWriter.headerByteCount))
        output.withUnsafeMutableBytes {
            PDataWriter.writeHeader(
                pduBodyLength: PDVHeader.byteCount + fragment.count, contextID: contextID, isCommand: false,
                isLast: isLast, to: UnsafeMutableRawBufferPointer(rebasing: $0[start...]))
        }
        payloads.append((output.count, fragment))
    }

    /// Writes `output` with the payloads at their places, in as few calls as the socket takes.
    private func write(payloads: [(position: Int, bytes: UnsafeRawBufferPointer)]) throws(TransportError) {
        defer { output.removeAll(keepingCapacity: true) }
        if output.capacity > 1 << 20 { output.reserveCapacity(0) }
        // The bytes stand still while this runs: nothing else touches `output`.
        let (base, count) = output.withUnsafeBytes { ($0.baseAddress!, $0.count) }
        var vectors: [iovec] = []
        var position = 0
        for payload in payloads {
            vectors.append(
                iovec(
                    iov_base: UnsafeMutableRawPointer(mutating: base + position), iov_len: payload.position - position))
            if !payload.bytes.isEmpty {
                vectors.append(
                    iovec(
                        iov_base: UnsafeMutableRawPointer(mutating: payload.bytes.baseAddress!),
                        iov_len: payload.bytes.count))
            }
            position = payload.position
        }
        if position < count {
            vectors.append(
                iovec(iov_base: UnsafeMutableRawPointer(mutating: base + position), iov_len: count - position))
        }
        try write(&vectors)
    }

    private func write(_ vectors: inout [iovec]) throws(TransportError) {
        var first = 0
        while first < vectors.count {
            let from = first
            let whole = vectors[from].iov_len
            vectors[from].iov_len = min(whole, movedMaximum)
            let until = rates.isEmpty ? min(from + 1000, vectors.count) : from + 1
            let sent = try vectors.withUnsafeMutableBufferPointer { buffer throws(TransportError) in
                try socket.send(UnsafeMutableBufferPointer(rebasing: buffer[from..<until]))
            }
            vectors[from].iov_len = whole
            guard let written = sent else {
                guard Poll.wait(socket.raw, Int16(POLLOUT), deadline: Clock.deadline(seconds: limits.pduSeconds)) else {
                    throw timeOut("peer takes nothing off the wire")
                }
                continue
            }
            keepRates(written)
            vectors.stepOver(written, from: &first)
        }
    }

    // MARK: Rates

    /// Bytes moved at once: where a rate is kept, so few that others who share it come in between.
    private var movedMaximum: Int { rates.isEmpty ? .max : 16_384 }

    /// Waits until what was moved is due, or the server stops. That time is not the peer's.
    private func keepRates(_ count: Int) {
        guard !rates.isEmpty else { return }
        let due = rates.map { $0.reserve(count) }.max()!
        let start = Clock.monotonicNanoseconds()
        while !isStopping(), Clock.monotonicNanoseconds() < due {
            Clock.sleep(until: min(due, Clock.deadline(seconds: 0.25)))
        }
        messageStart += Clock.elapsed(since: start, now: Clock.monotonicNanoseconds())
    }

    // MARK: The end

    package func confirmRelease() throws(TransportError) {
        try flush()
        try perform(.releaseResponseByUser)
        waitForClose()
    }

    /// Asks for the release and waits for the answer, as a requestor does when it is done.
    package func release() throws(TransportError) {
        try flush()
        try perform(.releaseByUser)
        while true {
            let (type, length) = try nextPDUHeader()
            switch type {
            case .releaseResponse:
                _ = try body(length)
                return try perform(.releaseResponseReceived)
            case .data:
                // Data may still come before the answer (PS3.8 section 7.2.2.3); nobody waits for it.
                var rest: [UInt8] = []
                try append(length, to: &rest)
            case .releaseRequest:
                // Both asked at once (PS3.8 section 7.2.2.7): answer, then go on waiting for ours.
                _ = try body(length)
                try perform(.releaseRequestReceived)
                try perform(.releaseResponseByUser)
            case .abort: throw .abortedByPeer(.notSpecified)
            default: throw violation(.unexpectedPDU, "unexpected \(type)")
            }
        }
    }

    /// Ends the association at once, as its user.
    package func abort() {
        try? perform(.abortByUser)
        waitForClose()
    }

    /// Ends the association because the peer broke the protocol in a way that only the service sees.
    package func refuse(_ abort: Abort, _ what: String) -> TransportError { violation(abort, what) }

    private func stop() -> TransportError {
        try? perform(.abortByUser)
        return .stopping
    }

    private func timeOut(_ what: String) -> TransportError {
        try? perform(.abortByUser)
        return .timedOut(what)
    }

    private func violation(_ abort: Abort, _ what: String) -> TransportError {
        try? perform(.invalidPDU(reason: abort.reason))
        waitForClose()
        return .protocolViolation(abort, what)
    }

    /// Gives the peer a moment to read our last PDU: closing over unread input would reset the connection and take the
    /// answer with it.
    private func waitForClose() {
        socket.shutdownWriting()
        let deadline = Clock.deadline(seconds: min(limits.artimSeconds, 1))
        while Clock.monotonicNanoseconds() < deadline {
            guard let count = try? socket.receive(into: staging) ?? -1, count != 0 else { break }
            if count < 0, !Poll.wait(socket.raw, Int16(POLLIN), deadline: deadline) { break }
        }
        try? perform(.transportClosed)
    }

    // MARK: The state machine

    private func perform(_ event: AssociationStateMachine.Event) throws(TransportError) {
        // The peer's abort may have come between our decision and this call.
        guard machine.permits(event) else { throw .closed }
        for action in machine.handle(event) {
            switch action {
            case .sendReleaseRequest: try writeNow(ReleasePDU.encodedRequest())
            case .sendReleaseResponse: try writeNow(ReleasePDU.encodedResponse())
            case .sendAbort(let abort): try writeNow(abort.encoded())
            case .closeTransport: socket.shutdownWriting()
            default:
                // Indications are what the calls above return; data is written by them; ARTIM is `waitForClose`.
                break
            }
        }
    }

    private func writeNow(_ pdu: [UInt8]) throws(TransportError) {
        output += pdu
        try write(payloads: [])
    }
}
