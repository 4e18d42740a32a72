// SPDX-License-Identifier: Apache-2.0
// The system calls whose C declarations Swift cannot import: variadic functions and function-like macros.
#ifndef SNIMOK_CSYSTEM_H
#define SNIMOK_CSYSTEM_H

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static inline int csystem_open(const char *path, int flags, mode_t mode) { return open(path, flags | O_CLOEXEC, mode); }
static inline int csystem_openat(int directory, const char *path, int flags, mode_t mode) {
    return openat(directory, path, flags | O_CLOEXEC, mode);
}

// GNU's own calls stand in csystem.c: _GNU_SOURCE in a header would change types that Swift knows otherwise.
int csystem_o_direct(void);
/// accept4 with SOCK_CLOEXEC | SOCK_NONBLOCK.
int csystem_accept(int listener, struct sockaddr *address, socklen_t *length);
/// The user at the other end of a local socket; -1: not known.
long csystem_peer_user(int socket);
/// Starts writing back a range without waiting for it.
int csystem_start_writeback(int file, off_t offset, off_t length);

/// Sets room aside for a range without changing the file's size.
int csystem_reserve(int file, off_t offset, off_t length);

/// Bytes that were sent and that the peer has not acknowledged; 0 if that is not known.
int csystem_unacknowledged(int socket);

/// memmem: the first place of `needle` in `bytes`; NULL: nowhere.
const void *csystem_find(const void *bytes, size_t length, const void *needle, size_t needle_length);

/// Starts `path` with two arguments and `descriptor` as its descriptor 3; everything else is closed but 0 to 2. Returns the
/// process id or a negated errno.
long csystem_spawn_worker(const char *path, const char *first, const char *second, int descriptor);
/// Lets a process of ours use so many seconds of the processor more.
int csystem_limit_cpu(pid_t process, unsigned long seconds);

/// Lets this process open as many descriptors as it may. The usual 1,024 are for programs that call select(); a connection is one
/// each, and so is a segment, a large object, and each reader of the catalog.
int csystem_raise_descriptor_limit(void);

/// Sets the name that `top -H` and `perf` show for the calling thread (15 bytes).
void csystem_name_thread(const char *name);

/// A condition variable on the monotonic clock, so that setting the wall clock moves no deadline.
static inline int csystem_cond_init_monotonic(pthread_cond_t *condition) {
    pthread_condattr_t attributes;
    int result = pthread_condattr_init(&attributes);
    if (result != 0) return result;
    result = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    if (result == 0) result = pthread_cond_init(condition, &attributes);
    pthread_condattr_destroy(&attributes);
    return result;
}

#endif
