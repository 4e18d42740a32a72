// SPDX-License-Identifier: Apache-2.0
import CSystem
import Glibc

/// A plain operating-system thread: associations, the log writer and the accept loop run straight-line blocking code,
/// which must not occupy the cooperative pool.
package struct SystemThread: @unchecked Sendable {
    private let handle: pthread_t

    private final class Start {
        let name: String
        let body: @Sendable () -> Void
        init(name: String, body: @escaping @Sendable () -> Void) {
            self.name = name
            self.body = body
        }
    }

    /// Starts `body`; throws when the system has no more threads.
    /// - Parameter stackBytes: address space only; pages count when they are touched.
    package init(name: String, stackBytes: Int = 512 * 1024, _ body: @escaping @Sendable () -> Void) throws(SystemError)
    {
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        defer { pthread_attr_destroy(&attributes) }
        pthread_attr_setstacksize(&attributes, stackBytes)
        let start = Unmanaged.passRetained(Start(name: name, body: body))
        var handle = pthread_t()
        let result = pthread_create(
            &handle, &attributes,
            { argument in
                let start = Unmanaged<Start>.fromOpaque(argument!).takeRetainedValue()
                csystem_name_thread(String(start.name.prefix(15)))
                start.body()
                return nil
            }, start.toOpaque())
        guard result == 0 else {
            start.release()
            throw SystemError("pthread_create", name, code: result)
        }
        self.handle = handle
    }

    /// Lets other threads go first, from here to the calling thread's end, where all processors are busy.
    package static func yieldToOthers() { setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, 5) }

    /// Waits for the end; once for each thread, or `detach`.
    package func join() { pthread_join(handle, nil) }

    package func detach() { pthread_detach(handle) }
}
