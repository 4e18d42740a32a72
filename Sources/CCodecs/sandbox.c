// SPDX-License-Identifier: Apache-2.0
// Limits and a system call filter for the process that decodes what came over the network.
#define _GNU_SOURCE
#include "ccodecs.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#define SNIMOK_AUDIT_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define SNIMOK_AUDIT_ARCH AUDIT_ARCH_AARCH64
#else
#error "the system call filter knows x86_64 and aarch64"
#endif

#define LOAD(offset) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (offset))
#define RETURN(action) BPF_STMT(BPF_RET | BPF_K, (action))
// "If the accumulator is this, take the next instruction, else skip it."
#define IF_EQUAL(value) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (value), 0, 1)
#define ALLOW(name) IF_EQUAL(__NR_##name), RETURN(SECCOMP_RET_ALLOW)
#define DENY(name) IF_EQUAL(__NR_##name), RETURN(SECCOMP_RET_ERRNO | EPERM)

// Little endian on both architectures: the lower half of a 64-bit argument comes first.
#define ARGUMENT(index) ((uint32_t)(offsetof(struct seccomp_data, args) + 8 * (index)))
#define NUMBER ((uint32_t)offsetof(struct seccomp_data, nr))
#define ARCHITECTURE ((uint32_t)offsetof(struct seccomp_data, arch))

static int install_filter(void) {
    const uint32_t self = (uint32_t)getpid();
    struct sock_filter program[] = {
        LOAD(ARCHITECTURE),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SNIMOK_AUDIT_ARCH, 1, 0),
        RETURN(SECCOMP_RET_KILL_PROCESS),
        LOAD(NUMBER),

        // Memory, but none that can be executed.
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_mmap, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_mprotect, 0, 4),
        LOAD(ARGUMENT(2)),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, PROT_EXEC, 0, 1),
        RETURN(SECCOMP_RET_ERRNO | EPERM),
        RETURN(SECCOMP_RET_ALLOW),
        ALLOW(munmap), ALLOW(mremap), ALLOW(brk), ALLOW(madvise),

        // What has been opened for it, or is received.
        ALLOW(read), ALLOW(write), ALLOW(readv), ALLOW(writev), ALLOW(pread64), ALLOW(pwrite64), ALLOW(lseek),
        ALLOW(recvmsg), ALLOW(sendmsg), ALLOW(recvfrom), ALLOW(sendto), ALLOW(ftruncate), ALLOW(fstat), ALLOW(close),
        ALLOW(ppoll),
#ifdef __NR_poll
        ALLOW(poll),
#endif

        // Time, random numbers, signals to itself (abort), the end.
        ALLOW(futex), ALLOW(clock_gettime), ALLOW(gettimeofday), ALLOW(clock_nanosleep), ALLOW(nanosleep),
        ALLOW(getrandom), ALLOW(sched_yield), ALLOW(getpid), ALLOW(gettid), ALLOW(rt_sigaction), ALLOW(rt_sigprocmask),
        ALLOW(rt_sigreturn), ALLOW(sigaltstack), ALLOW(restart_syscall), ALLOW(exit), ALLOW(exit_group),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_tgkill, 0, 4),
        LOAD(ARGUMENT(0)),
        IF_EQUAL(self),
        RETURN(SECCOMP_RET_ALLOW),
        RETURN(SECCOMP_RET_KILL_PROCESS),

        // Libraries try these and get along without: the allocator looks for the number of processors, text conversion for
        // its tables, stdio for a terminal. To kill for them would end a worker that does nothing wrong.
        DENY(openat), DENY(newfstatat), DENY(statx), DENY(faccessat), DENY(readlinkat), DENY(getcwd), DENY(socket),
        DENY(connect), DENY(ioctl), DENY(fcntl), DENY(prlimit64), DENY(getrusage), DENY(sysinfo), DENY(uname),
        DENY(sched_getaffinity), DENY(prctl), DENY(getuid), DENY(geteuid), DENY(getgid), DENY(getegid), DENY(getppid),
#if defined(__x86_64__)
        DENY(open), DENY(stat), DENY(lstat), DENY(access), DENY(readlink), DENY(getrlimit), DENY(time),
#endif
#ifdef __NR_faccessat2
        DENY(faccessat2),
#endif

        // Nobody needs the rest by accident.
        RETURN(SECCOMP_RET_KILL_PROCESS),
    };
    struct sock_fprog filter = {.len = sizeof program / sizeof program[0], .filter = program};
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0 ? 0 : errno;
}

/// Bytes of address space in use, 0 if unknown.
static uint64_t mapped_bytes(void) {
    FILE *file = fopen("/proc/self/statm", "re");
    if (file == NULL) return 0;
    unsigned long pages = 0;
    if (fscanf(file, "%lu", &pages) != 1) pages = 0;
    fclose(file);
    return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static int limit(int resource, uint64_t soft, uint64_t hard) {
    struct rlimit value;
    if (getrlimit((__rlimit_resource_t)resource, &value) != 0) return errno;
    if (hard < value.rlim_max) value.rlim_max = hard;
    value.rlim_cur = soft < value.rlim_max ? soft : value.rlim_max;
    return setrlimit((__rlimit_resource_t)resource, &value) == 0 ? 0 : errno;
}

int32_t ccodecs_enter_sandbox(uint64_t memory_bytes, uint32_t cpu_seconds) {
    int error = 0;
    uint64_t mapped = mapped_bytes();
    if (mapped == 0) return EIO;
    if ((error = limit(RLIMIT_AS, mapped + memory_bytes, mapped + memory_bytes)) != 0) return error;
    // The hard limit stays, so that the parent can move the soft one; prlimit64 is denied in here.
    if (cpu_seconds > 0 && (error = limit(RLIMIT_CPU, cpu_seconds, RLIM_INFINITY)) != 0) return error;
    if ((error = limit(RLIMIT_CORE, 0, 0)) != 0) return error;
    if ((error = limit(RLIMIT_NOFILE, 64, 64)) != 0) return error;
    if ((error = limit(RLIMIT_NPROC, 0, 0)) != 0) return error;
    if (prctl(PR_SET_DUMPABLE, 0) != 0) return errno;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return errno;
    return install_filter();
}
