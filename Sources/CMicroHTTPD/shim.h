// SPDX-License-Identifier: Apache-2.0
// libmicrohttpd's start function is variadic and its enums are closed; Swift calls these instead.
#ifndef SNIMOK_CMICROHTTPD_H
#define SNIMOK_CMICROHTTPD_H

#include <microhttpd.h>
#include <stddef.h>

typedef int (*snimok_http_handler)(void *context, struct MHD_Connection *connection, const char *url,
                                   const char *method);

static inline enum MHD_Result snimok_http_access(void *context, struct MHD_Connection *connection, const char *url,
                                                 const char *method, const char *version, const char *upload,
                                                 size_t *upload_size, void **state) {
    (void)version;
    (void)upload;
    static int seen;
    // The first call brings the headers only; answering it would close the connection of a request with a body.
    if (*state == NULL) {
        *state = &seen;
        return MHD_YES;
    }
    if (*upload_size != 0) {
        *upload_size = 0;
        return MHD_YES;
    }
    void **pair = (void **)context;
    return ((snimok_http_handler)pair[0])(pair[1], connection, url, method) ? MHD_YES : MHD_NO;
}

/// Starts a daemon on an address; `pair` is a handler and its context, and must live as long as the daemon.
static inline struct MHD_Daemon *snimok_http_start(const struct sockaddr *address, unsigned connections, void **pair) {
    return MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ERROR_LOG, 0, NULL, NULL, &snimok_http_access, pair,
                            MHD_OPTION_SOCK_ADDR, address, MHD_OPTION_CONNECTION_LIMIT, connections,
                            MHD_OPTION_CONNECTION_TIMEOUT, 30u, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)32768,
                            MHD_OPTION_LISTENING_ADDRESS_REUSE, 1u, MHD_OPTION_END);
}

static inline unsigned snimok_http_port(struct MHD_Daemon *daemon) {
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_BIND_PORT);
    return info == NULL ? 0 : info->port;
}

static inline struct MHD_Response *snimok_http_response(const void *bytes, size_t count) {
    return MHD_create_response_from_buffer(count, (void *)bytes, MHD_RESPMEM_MUST_COPY);
}

static inline int snimok_http_queue(struct MHD_Connection *connection, unsigned status, struct MHD_Response *response) {
    return MHD_queue_response(connection, status, response) == MHD_YES;
}

#endif
