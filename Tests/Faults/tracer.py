# SPDX-License-Identifier: Apache-2.0
"""Runs a program and, when told to, stops at each of its system calls: counts them, kills before one, or lets one fail.

    tracer.py [--held] CONTROL REPORT COMMAND…

CONTROL and REPORT are FIFOs that carry lines of JSON (see tracing.py, which is the other end). strace counts calls for
each thread apart and makes "short" writes by not writing at all; here calls are counted over all threads in the order in
which they happen, and a short write really writes its first part. Linux on x86-64 only.
"""
import ctypes
import errno
import json
import os
import select
import signal
import struct
import sys

SEIZE, INTERRUPT, SYSCALL, CONT, POKEUSER, SYSCALL_INFO = 0x4206, 0x4207, 24, 7, 6, 0x420E
TRACE_SYSGOOD, TRACE_CLONE = 1, 8
WALL = 0x40000000
PR_SET_PDEATHSIG = 1
RAX, RDX, ORIG_RAX = 80, 96, 120

NAMES = {
    0: "read", 1: "write", 2: "open", 3: "close", 4: "stat", 5: "fstat", 8: "lseek", 9: "mmap", 10: "mprotect",
    11: "munmap", 13: "rt_sigaction", 14: "rt_sigprocmask", 16: "ioctl", 17: "pread64", 18: "pwrite64", 19: "readv",
    20: "writev", 21: "access", 28: "madvise", 40: "sendfile", 44: "sendto", 45: "recvfrom", 46: "sendmsg", 47: "recvmsg",
    48: "shutdown", 54: "setsockopt", 56: "clone", 60: "exit", 72: "fcntl", 73: "flock", 74: "fsync", 75: "fdatasync",
    76: "truncate", 77: "ftruncate", 82: "rename", 83: "mkdir", 84: "rmdir", 86: "link", 87: "unlink", 137: "statfs",
    138: "fstatfs", 141: "setpriority", 202: "futex", 217: "getdents64", 221: "fadvise64", 231: "exit_group",
    232: "epoll_wait", 233: "epoll_ctl", 257: "openat", 258: "mkdirat", 262: "newfstatat", 263: "unlinkat",
    264: "renameat", 277: "sync_file_range", 285: "fallocate", 288: "accept4", 290: "eventfd2", 295: "preadv",
    296: "pwritev", 316: "renameat2", 318: "getrandom", 326: "copy_file_range", 327: "preadv2", 328: "pwritev2",
    332: "statx", 334: "rseq", 435: "clone3", 437: "openat2"}
BY_DESCRIPTOR = {
    "read", "write", "readv", "writev", "pread64", "pwrite64", "preadv", "pwritev", "preadv2", "pwritev2", "fsync",
    "fdatasync", "ftruncate", "sync_file_range", "fallocate", "close", "fstat", "lseek", "getdents64", "fadvise64", "fcntl",
    "flock", "sendmsg", "sendto", "copy_file_range"}
# Which argument is a path. Of two, as with rename, the last: where the file goes.
BY_PATH = {
    "open": 0, "openat": 1, "creat": 1, "openat2": 1, "truncate": 0, "rename": 1, "renameat": 3, "renameat2": 3, "link": 1, "mkdir": 0,
    "mkdirat": 1, "unlink": 0, "unlinkat": 1, "rmdir": 0, "access": 0, "stat": 0, "statfs": 0, "newfstatat": 1, "statx": 1}
WRITES = {"write", "pwrite64", "writev", "pwritev", "pwritev2"}
FLAGS = {"open": 1, "openat": 2}
BLOCK = 512

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
_libc.ptrace.restype = ctypes.c_long


def ptrace(request, thread, address=0, data=0):
    if _libc.ptrace(request, thread, address, data) < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"ptrace {request:#x}: {os.strerror(code)}")


class Call:
    """A system call that is about to begin."""

    def __init__(self, process, thread):
        info = ctypes.create_string_buffer(88)
        size = _libc.ptrace(SYSCALL_INFO, thread, len(info), ctypes.cast(info, ctypes.c_void_p))
        self.is_entry = size > 0 and info.raw[0] == 1
        self.is_exit = size > 0 and info.raw[0] == 2
        if self.is_entry:
            number, *self.arguments = struct.unpack_from("<7Q", info.raw, 24)
            self.name = NAMES.get(number, f"call {number}")
            self.process = process
            # To make a file takes space and changes a directory; to open one does not.
            if self.name in FLAGS and self.arguments[FLAGS[self.name]] & os.O_CREAT:
                self.name = "creat"

    @property
    def path(self):
        """The file it is about; empty: none."""
        try:
            if self.name in BY_DESCRIPTOR:
                return os.readlink(f"/proc/{self.process}/fd/{self.arguments[0] & 0xFFFFFFFF}")
            if self.name in BY_PATH:
                return memory(self.process, self.arguments[BY_PATH[self.name]], 4096).split(b"\0")[0].decode()
        except (OSError, UnicodeDecodeError):
            pass
        return ""


def memory(process, address, count):
    """What lies at an address, at most `count` bytes; the next page may not be there."""
    with open(f"/proc/{process}/mem", "rb", buffering=0) as file:
        file.seek(address)
        return file.read(min(count, 4096 - address % 4096)) if count > 16 else file.read(count)


def put(process, address, data):
    with open(f"/proc/{process}/mem", "r+b", buffering=0) as file:
        file.seek(address)
        file.write(data)


class Plan:
    """What to count, and what to do at which of the calls counted."""

    def __init__(self, at=None, fault=None, code=0, calls=None, under=None, after=None, record=False):
        self.at, self.fault, self.code = at, fault, code
        self.calls, self.under, self.after, self.record = calls and set(calls), under, after, record
        self.is_counting = after is None
        self.count, self.fired, self.seen = 0, None, []

    def meets(self, call):
        """Counts a call; whether the fault is to happen now."""
        if not self.is_counting:
            self.is_counting = call.path.startswith(self.after)
            if not self.is_counting:
                return False
        if self.calls is not None and call.name not in self.calls:
            return False
        if self.under is not None and not call.path.startswith(self.under):
            return False
        self.count += 1
        if self.record:
            self.seen.append([call.name, call.path])
        if self.count != self.at or self.fault == "short" and call.name not in WRITES:
            return False
        self.fired = [call.name, call.path]
        return True


class Tracer:
    def __init__(self, control, report, command, is_held):
        self.control = os.fdopen(os.open(control, os.O_RDWR | os.O_NONBLOCK), "rb", buffering=0)
        self.report_file = os.open(report, os.O_RDWR)
        self.plan, self.threads, self.undo, self.rest = None, set(), {}, b""
        wake_read, wake_write = os.pipe()
        os.set_blocking(wake_read, False)
        os.set_blocking(wake_write, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        self.wake = wake_read
        hold_read, self.hold = os.pipe()
        self.process = os.fork()
        if self.process == 0:
            if is_held:
                os.close(self.hold)
                os.read(hold_read, 1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            # Whatever becomes of this tracer, no program stays behind.
            _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            os.execv(command[0], command)
        os.close(hold_read)

    def report(self, **content):
        os.write(self.report_file, json.dumps(content).encode() + b"\n")

    def run(self):
        """Until the program ends; its exit code."""
        while True:
            while True:
                try:
                    thread, status = os.waitpid(-1, WALL | os.WNOHANG)
                except ChildProcessError:
                    return 1
                if thread == 0:
                    break
                if os.WIFSTOPPED(status):
                    self.stopped(thread, status)
                elif thread == self.process:
                    self.finish("ended")
                    return os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)
                else:
                    self.threads.discard(thread)
            ready, _, _ = select.select([self.control, self.wake], [], [], 5)
            if self.wake in ready:
                os.read(self.wake, 4096)
            if self.control in ready:
                self.obey()

    # Orders

    def obey(self):
        self.rest += self.control.read(65536) or b""
        *lines, self.rest = self.rest.split(b"\n")
        for line in lines:
            order = json.loads(line)
            if order.pop("do") == "arm":
                self.plan = Plan(**order)
                self.attach()
                self.report(armed=True)
                if self.hold is not None:
                    os.close(self.hold)
                    self.hold = None
            else:
                self.finish("disarmed")

    def finish(self, why):
        plan, self.plan = self.plan, None
        if plan is not None:
            self.report(why=why, count=plan.count, fired=plan.fired, seen=plan.seen)

    def attach(self):
        """Takes hold of all threads; those that begin later come by themselves."""
        found = True
        while found:
            found = False
            for name in os.listdir(f"/proc/{self.process}/task"):
                thread = int(name)
                if thread in self.threads:
                    continue
                try:
                    ptrace(SEIZE, thread, 0, TRACE_SYSGOOD | TRACE_CLONE)
                    self.threads.add(thread)
                    found = True
                except OSError as error:
                    # It ended meanwhile, or is being followed since another one began it.
                    if error.errno not in (errno.ESRCH, errno.EPERM) or error.errno == errno.EPERM and not self.threads:
                        raise
                    self.threads.add(thread)
        for thread in self.threads:
            try:
                ptrace(INTERRUPT, thread)
            except OSError:
                pass

    # Stops

    def stopped(self, thread, status):
        number, event = os.WSTOPSIG(status), status >> 16
        passed = 0
        if number == signal.SIGTRAP | 0x80:
            if self.at_call(thread):
                return
        elif event == 0:
            passed = number
        self.threads.add(thread)
        try:
            ptrace(SYSCALL if self.plan is not None or thread in self.undo else CONT, thread, 0, passed)
        except OSError:
            pass

    def at_call(self, thread):
        """Handles the beginning or end of a call; whether the program is gone now."""
        call = Call(self.process, thread)
        if call.is_exit and thread in self.undo:
            self.undo.pop(thread)()
        elif call.is_entry and self.plan is not None and self.plan.meets(call):
            if self.plan.fault == "kill":
                # The call was not made: the thread dies where it stands.
                os.kill(self.process, signal.SIGKILL)
                return True
            self.undo[thread] = self.fail(thread) if self.plan.fault == "error" else self.shorten(thread, call)
        return False

    def fail(self, thread):
        code = self.plan.code
        ptrace(POKEUSER, thread, ORIG_RAX, 0xFFFFFFFFFFFFFFFF)
        return lambda: ptrace(POKEUSER, thread, RAX, -code & 0xFFFFFFFFFFFFFFFF)

    def shorten(self, thread, call):
        """Lets a write take a part only: half, in blocks if it is of more than one, as devices do."""
        def part(length):
            return length // 2 // BLOCK * BLOCK or length // 2
        count = call.arguments[2]
        if call.name in ("write", "pwrite64"):
            shorter = part(count)
            vector = saved = None
        else:
            vector = call.arguments[1]
            saved = memory(self.process, vector, 16)
            base, length = struct.unpack("<QQ", saved)
            # One vector of several is a part already.
            put(self.process, vector, struct.pack("<QQ", base, length if count > 1 else part(length)))
            shorter = 1
        ptrace(POKEUSER, thread, RDX, shorter)

        def undo():
            if vector is not None:
                put(self.process, vector, saved)
            ptrace(POKEUSER, thread, RDX, count)
        return undo


if __name__ == "__main__":
    words = sys.argv[1:]
    held = words[0] == "--held"
    words = words[held:]
    sys.exit(Tracer(words[0], words[1], words[2:], held).run())
