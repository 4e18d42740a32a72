// SPDX-License-Identifier: Apache-2.0
// libmicrohttpd's functions are variadic and its enums are closed; Swift calls these instead.
#ifndef SNIMOK_CMICROHTTPD_H
#define SNIMOK_CMICROHTTPD_H

#include <microhttpd.h>
#include <stddef.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/// What Swift does with a request. `exchange` is what `begin` returned for it.
struct snimok_http_callbacks {
    void *context;
    /// A request line has come; returns the exchange.
    void *(*begin)(void *context, const char *target);
    /// Headers or body bytes have come, or the body's end (`length` 0 after the first call). Sets `*length` to the bytes
    /// left. Returns 0 to close the connection.
    int (*receive)(void *context, void *exchange, struct MHD_Connection *connection, const char *method,
                   const char *version, const char *bytes, size_t *length);
    /// The request is over, well or not.
    void (*end)(void *context, void *exchange);
    /// What libmicrohttpd would else write to stderr by itself, past the log and its escaping.
    void (*log)(void *context, const char *text);
};

struct snimok_http_options {
    const struct sockaddr *address;
    unsigned connections, connections_per_address, threads, timeout_seconds;
    /// PEM texts; NULL: without TLS.
    const char *certificate, *key;
};

static inline void snimok_http_on_log(void *context, const char *format, va_list arguments) {
    char text[512];
    vsnprintf(text, sizeof text, format, arguments);
    struct snimok_http_callbacks *callbacks = context;
    callbacks->log(callbacks->context, text);
}

static inline void *snimok_http_on_begin(void *context, const char *target, struct MHD_Connection *connection) {
    (void)connection;
    struct snimok_http_callbacks *callbacks = context;
    return callbacks->begin(callbacks->context, target);
}

static inline enum MHD_Result snimok_http_on_access(void *context, struct MHD_Connection *connection, const char *url,
                                                    const char *method, const char *version, const char *upload,
                                                    size_t *length, void **state) {
    (void)url;
    struct snimok_http_callbacks *callbacks = context;
    return callbacks->receive(callbacks->context, *state, connection, method, version, upload, length) ? MHD_YES
                                                                                                       : MHD_NO;
}

static inline void snimok_http_on_end(void *context, struct MHD_Connection *connection, void **state,
                                      enum MHD_RequestTerminationCode code) {
    (void)connection;
    (void)code;
    struct snimok_http_callbacks *callbacks = context;
    if (*state != NULL) callbacks->end(callbacks->context, *state);
    *state = NULL;
}

/// The profile of PS3.15 section B.12 (BCP 195) in GnuTLS's words: the same versions, suites, groups and signatures as
/// DICOM's TLS has (Transport's TLSProfile), and nothing resumed by tickets.
static inline const char *snimok_http_tls_profile(void) {
    return "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"
           ":-KX-ALL:+ECDHE-ECDSA:+ECDHE-RSA"
           ":-CIPHER-ALL:+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305"
           ":-GROUP-ALL:+GROUP-X25519:+GROUP-SECP256R1:+GROUP-SECP384R1:+GROUP-SECP521R1"
           ":-SIGN-ALL:+SIGN-ECDSA-SHA256:+SIGN-ECDSA-SECP256R1-SHA256:+SIGN-ECDSA-SHA384:+SIGN-ECDSA-SECP384R1-SHA384"
           ":+SIGN-ECDSA-SHA512:+SIGN-ECDSA-SECP521R1-SHA512:+SIGN-EDDSA-ED25519:+SIGN-RSA-PSS-RSAE-SHA256"
           ":+SIGN-RSA-PSS-RSAE-SHA384:+SIGN-RSA-PSS-RSAE-SHA512:+SIGN-RSA-PSS-SHA256:+SIGN-RSA-SHA256:+SIGN-RSA-SHA384"
           ":+SIGN-RSA-SHA512:%SERVER_PRECEDENCE:%NO_TICKETS";
}

/// Starts a daemon; `callbacks` must live as long as it.
static inline struct MHD_Daemon *snimok_http_start(const struct snimok_http_options *options,
                                                   struct snimok_http_callbacks *callbacks) {
    struct MHD_OptionItem items[] = {
        // The first one, so that what is wrong with the others is logged, too.
        {MHD_OPTION_EXTERNAL_LOGGER, (intptr_t)&snimok_http_on_log, callbacks},
        {MHD_OPTION_SOCK_ADDR, 0, (void *)options->address},
        {MHD_OPTION_CONNECTION_LIMIT, options->connections, NULL},
        {MHD_OPTION_PER_IP_CONNECTION_LIMIT, options->connections_per_address, NULL},
        {MHD_OPTION_CONNECTION_TIMEOUT, options->timeout_seconds, NULL},
        // Of address space: what a connection does not need it does not touch.
        {MHD_OPTION_CONNECTION_MEMORY_LIMIT, 262144, NULL},
        {MHD_OPTION_THREAD_POOL_SIZE, options->threads, NULL},
        {MHD_OPTION_LISTENING_ADDRESS_REUSE, 1, NULL},
        {MHD_OPTION_STRICT_FOR_CLIENT, 1, NULL},
        {MHD_OPTION_URI_LOG_CALLBACK, (intptr_t)&snimok_http_on_begin, callbacks},
        {MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)&snimok_http_on_end, callbacks},
        {MHD_OPTION_END, 0, NULL},
        {MHD_OPTION_END, 0, NULL},
        {MHD_OPTION_END, 0, NULL},
        {MHD_OPTION_END, 0, NULL},
    };
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;
    // On `::` callers by IPv4 are served too.
    if (options->address->sa_family == AF_INET6) flags |= MHD_USE_DUAL_STACK;
    if (options->certificate != NULL) {
        flags |= MHD_USE_TLS;
        items[11] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)options->certificate};
        items[12] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)options->key};
        items[13] = (struct MHD_OptionItem){
            MHD_OPTION_HTTPS_PRIORITIES, 0,
            (void *)snimok_http_tls_profile()};
    }
    return MHD_start_daemon(flags, 0, NULL, NULL, &snimok_http_on_access, callbacks, MHD_OPTION_ARRAY, items,
                            MHD_OPTION_END);
}

static inline unsigned snimok_http_port(struct MHD_Daemon *daemon) {
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_BIND_PORT);
    return info == NULL ? 0 : info->port;
}

static inline const struct sockaddr *snimok_http_peer(struct MHD_Connection *connection) {
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    return info == NULL ? NULL : info->client_addr;
}

static inline int snimok_http_descriptor(struct MHD_Connection *connection) {
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    return info == NULL ? -1 : info->connect_fd;
}

/// `value` is NULL where a field holds a NUL, which none may (RFC 9110 section 5.5).
typedef void (*snimok_http_header)(void *context, const char *name, const char *value);
struct snimok_http_each {
    snimok_http_header body;
    void *context;
};

static inline enum MHD_Result snimok_http_one(void *context, enum MHD_ValueKind kind, const char *name,
                                              size_t name_length, const char *value, size_t length) {
    (void)kind;
    struct snimok_http_each *each = context;
    if (value == NULL) value = "";
    each->body(each->context, name, strlen(name) == name_length && strlen(value) == length ? value : NULL);
    return MHD_YES;
}

static inline void snimok_http_for_each_header(struct MHD_Connection *connection, snimok_http_header body,
                                               void *context) {
    struct snimok_http_each each = {body, context};
    MHD_get_connection_values_n(connection, MHD_HEADER_KIND, &snimok_http_one, &each);
}

/// An answer whose body, in pieces, stays where it is until `release` is called with `owner`; not called for NULL.
static inline struct MHD_Response *snimok_http_response(const struct MHD_IoVec *pieces, unsigned count,
                                                        void (*release)(void *), void *owner) {
    // A single piece goes out with the head, in one call.
    if (count > 1) return MHD_create_response_from_iovec(pieces, count, release, owner);
    return MHD_create_response_from_buffer_with_free_callback_cls(
        count == 0 ? 0 : pieces->iov_len, count == 0 ? "" : (void *)pieces->iov_base, release, owner);
}

static inline struct MHD_Response *snimok_http_response_streamed(uint64_t length, size_t block,
                                                                 MHD_ContentReaderCallback read, void *context) {
    return MHD_create_response_from_callback(length, block, read, context, NULL);
}

static inline uint64_t snimok_http_unknown_length(void) { return MHD_SIZE_UNKNOWN; }
static inline ssize_t snimok_http_stream_end(void) { return MHD_CONTENT_READER_END_OF_STREAM; }
static inline ssize_t snimok_http_stream_error(void) { return MHD_CONTENT_READER_END_WITH_ERROR; }

static inline int snimok_http_queue(struct MHD_Connection *connection, unsigned status, struct MHD_Response *response) {
    return MHD_queue_response(connection, status, response) == MHD_YES;
}

#endif
