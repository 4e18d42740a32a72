// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "csystem.h"

#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

int csystem_o_direct(void) { return O_DIRECT; }

long csystem_peer_user(int socket) {
    struct ucred credentials;
    socklen_t length = sizeof credentials;
    if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &length) != 0) return -1;
    return credentials.uid;
}

int csystem_accept(int listener, struct sockaddr *address, socklen_t *length) {
    return accept4(listener, address, length, SOCK_CLOEXEC | SOCK_NONBLOCK);
}

int csystem_unacknowledged(int socket) {
    int bytes = 0;
    return ioctl(socket, SIOCOUTQ, &bytes) == 0 ? bytes : 0;
}

int csystem_reserve(int file, off_t offset, off_t length) {
    return fallocate(file, FALLOC_FL_KEEP_SIZE, offset, length);
}

int csystem_start_writeback(int file, off_t offset, off_t length) {
    return sync_file_range(file, offset, length, SYNC_FILE_RANGE_WRITE);
}

void csystem_name_thread(const char *name) { pthread_setname_np(pthread_self(), name); }

const void *csystem_find(const void *bytes, size_t length, const void *needle, size_t needle_length) {
    return memmem(bytes, length, needle, needle_length);
}

long csystem_spawn_worker(const char *path, const char *first, const char *second, int descriptor) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, descriptor, 3);
    posix_spawn_file_actions_addclosefrom_np(&actions, 4);
    posix_spawnattr_init(&attributes);
    // The server's threads block the signals that end it, and a terminal's Ctrl-C is for the server alone.
    sigset_t none;
    sigemptyset(&none);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
    char *arguments[] = {"snimok", (char *)first, (char *)second, NULL};
    const char *faults = getenv("SNIMOK_IMAGING_FAULTS");
    char *environment[] = {"LANG=C.UTF-8", faults == NULL ? NULL : "SNIMOK_IMAGING_FAULTS=1", NULL};
    pid_t process = 0;
    int result = posix_spawn(&process, path, &actions, &attributes, arguments, environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return result == 0 ? (long)process : -(long)result;
}

int csystem_limit_cpu(pid_t process, unsigned long seconds) {
    clockid_t clock;
    struct timespec used;
    if (clock_getcpuclockid(process, &clock) != 0 || clock_gettime(clock, &used) != 0) return errno;
    struct rlimit limit = {.rlim_cur = (rlim_t)used.tv_sec + seconds + 1, .rlim_max = RLIM_INFINITY};
    return prlimit(process, RLIMIT_CPU, &limit, NULL) == 0 ? 0 : errno;
}

int csystem_raise_descriptor_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return errno;
    limit.rlim_cur = limit.rlim_max;
    return setrlimit(RLIMIT_NOFILE, &limit) == 0 ? 0 : errno;
}
