// SPDX-License-Identifier: Apache-2.0
import Platform

/// Looks every second whether peers whose request is still to come are there: libmicrohttpd's epoll tells bytes and the end
/// behind them as one event, reads the bytes only, and would keep such a connection until its timeout.
final class HangUpWatch: Sendable {
    private struct State {
        var exchanges: [ObjectIdentifier: HTTPExchange] = [:]
        var isStopping = false
    }

    private let state: Monitor<State>
    private let thread: SystemThread

    init() throws(SystemError) {
        let state = Monitor(State())
        self.state = state
        thread = try SystemThread(name: "http-hang-ups") {
            while let exchanges = Self.next(state) {
                for exchange in exchanges { exchange.closeIfPeerIsGone() }
            }
        }
    }

    /// What to look at, a second after the last time; nil: nothing any more.
    private static func next(_ state: Monitor<State>) -> [HTTPExchange]? {
        state.wait { $0.isStopping || !$0.exchanges.isEmpty ? true : nil }
        state.wait(until: Clock.deadline(seconds: 1)) { $0.isStopping ? true : nil }
        return state.withLock { $0.isStopping ? nil : Array($0.exchanges.values) }
    }

    /// From the head of a request on, until its end has come.
    func add(_ exchange: HTTPExchange) { state.update { $0.exchanges[ObjectIdentifier(exchange)] = exchange } }

    func remove(_ exchange: HTTPExchange) { state.withLock { $0.exchanges[ObjectIdentifier(exchange)] = nil } }

    func stop() {
        state.update { $0.isStopping = true }
        thread.join()
    }
}
