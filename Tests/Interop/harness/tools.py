"""DCMTK's command-line programs, and small things that many tests need."""
import os
import shutil
import socket
import subprocess
from functools import cache
from pathlib import Path

import pytest


@cache
def dcmtk(name):
    """Path of a DCMTK program; pynetdicom installs programs of the same names, which are passed over."""
    folders = ["/usr/bin", "/usr/local/bin", *os.environ.get("PATH", "").split(os.pathsep)]
    for folder in folders:
        path = Path(folder) / name
        if path.is_file() and os.access(path, os.X_OK):
            said = subprocess.run([path, "--version"], capture_output=True, text=True, errors="replace").stdout
            if "$dcmtk:" in said:
                return str(path)
    pytest.fail(f"DCMTK's {name} is not installed: run Tools/setup --tests")


def run(name, *arguments, check=True, timeout=120, cwd=None):
    """Runs a DCMTK program; text arguments are passed as UTF-8, bytes as they are. Its output is one text."""
    words = [word if isinstance(word, bytes) else str(word).encode() for word in arguments]
    done = subprocess.run([dcmtk(name).encode(), *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=timeout, cwd=cwd)
    done.text = done.stdout.decode("utf-8", "replace")
    if check:
        assert done.returncode == 0, f"{name} ended with {done.returncode}:\n{done.text[-3000:]}"
    return done


def program(name, package):
    """Path of another program, or the test is skipped with the reason."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed (package {package})")
    return path


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def flip(path, offset):
    """Flips one bit below the archive, as a failing disk would."""
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 0x10]))
