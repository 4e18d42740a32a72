# SPDX-License-Identifier: Apache-2.0
"""A small ext4 file system in a file, mounted on a loop device: it can be filled, and its power can be cut. Needs root."""
import fcntl
import os
import shutil
import struct
import subprocess
import time
from pathlib import Path

import pytest

EXT4_IOC_SHUTDOWN = 0x8004587D
NO_LOG_FLUSH = 2


def folder_for_images(fallback):
    """Where images are made: in memory if that can be, since a file system that syncs into a file waits for a disk."""
    memory = Path("/dev/shm")
    room = shutil.disk_usage(memory).free if memory.is_dir() and os.access(memory, os.W_OK) else 0
    return memory if room > 2 << 30 else Path(fallback)


class Volume:
    def __init__(self, directory, megabytes, name="volume"):
        self.image = folder_for_images(directory) / f"snimok-{os.getpid()}-{name}.img"
        self.path = Path(directory) / name
        self.megabytes = megabytes
        self.is_mounted = False

    @staticmethod
    def check_can_mount(directory):
        """Skips the test, with the reason, where file systems cannot be made and mounted."""
        if os.geteuid() != 0:
            pytest.skip("only root may mount a file system")
        if shutil.which("mkfs.ext4", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin") is None:
            pytest.skip("mkfs.ext4 is not installed (package e2fsprogs)")
        volume = Volume(directory, 8, "probe")
        try:
            volume.make()
        except RuntimeError as error:
            pytest.skip(f"no loop device can be mounted here: {error}")
        finally:
            volume.close()

    def make(self, *options):
        """Begins anew with an empty file system."""
        self.unmount()
        with open(self.image, "wb") as file:
            file.truncate(self.megabytes << 20)
        self._run("mkfs.ext4", "-q", "-F", "-m", "0", "-E", "nodiscard", str(self.image))
        self.mount(*options)
        return self

    def mount(self, *options):
        self.path.mkdir(parents=True, exist_ok=True)
        self._run("mount", "-o", ",".join(["loop", *options]), str(self.image), str(self.path))
        self.is_mounted = True

    def unmount(self):
        deadline = time.monotonic() + 20
        while self.is_mounted:
            try:
                self._run("umount", str(self.path))
                self.is_mounted = False
            except RuntimeError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.01)

    def cut(self):
        """Nothing more reaches the device, not even what the journal has gathered; processes go on and see errors."""
        descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(descriptor, EXT4_IOC_SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
        finally:
            os.close(descriptor)

    def free(self):
        status = os.statvfs(self.path)
        return status.f_bavail * status.f_frsize

    def used(self):
        status = os.statvfs(self.path)
        return (status.f_blocks - status.f_bfree) * status.f_frsize

    def close(self):
        try:
            self.unmount()
        except RuntimeError:
            subprocess.run(["umount", "-l", str(self.path)], capture_output=True)
        self.image.unlink(missing_ok=True)

    @staticmethod
    def _run(*words):
        environment = {**os.environ, "PATH": os.environ.get("PATH", "") + ":/usr/sbin:/sbin"}
        done = subprocess.run(words, capture_output=True, text=True, env=environment)
        if done.returncode:
            raise RuntimeError(f"{' '.join(words)}: {done.stderr.strip() or done.returncode}")
