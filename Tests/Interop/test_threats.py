# SPDX-License-Identifier: Apache-2.0
"""The threat model: each row has its tests, and those that no other file has."""
import re
import struct
import subprocess

import pytest

from harness import wire
from harness.archive import BINARY, ROOT, SOME_REFUSED
from harness.clients import find, identifier
from harness.samples import ct
from harness.wire import CT, EXPLICIT

MODEL = ROOT / "docs" / "THREAT-MODEL.md"
ROWS = {int(found[1]): found[2] for found in
        re.finditer(r"^\| (\d+) \| .*\| ([^|]*) \|$", MODEL.read_text(), re.M)}
THREATS = 61


def existing():
    """Names of all tests: functions of pytest, titles of Swift Testing."""
    names = set()
    for path in (ROOT / "Tests").rglob("*.py"):
        names |= set(re.findall(r"^\s*def (test_\w+)", path.read_text(), re.M))
    for path in (ROOT / "Tests").rglob("*.swift"):
        names |= set(re.findall(r'@Test\(\s*"([^"]+)"', path.read_text()))
    return names


def test_the_model_has_every_row():
    assert sorted(ROWS) == list(range(1, THREATS + 1))


@pytest.mark.parametrize("row", range(1, THREATS + 1))
def test_the_tests_of_row(row):
    cell = ROWS[row]
    if cell == "—":
        line = next(line for line in MODEL.read_text().splitlines() if line.startswith(f"| {row} |"))
        assert "| — " in line, "a row without a test says why"
        return
    named = re.findall(r"`([^`]+)`", cell)
    assert named and not re.sub(r"`[^`]+`|, ", "", cell), cell
    assert set(named) <= existing(), set(named) - existing()


def test_an_ae_title_is_never_a_path(new_archive):
    """Row 12: neither the called nor the calling one names anything in the file system."""
    archive = new_archive(dicom={"checkCalledAETitle": False, "acceptUnknownCallingAETitles": True})
    titles = ["../secret/VICTIM", "/etc/VICTIM", "..", "a/../../VICTIM", "C:\\VICTIM", "$(id>VICTIM)"]
    for number, title in enumerate(titles):
        with wire.Requestor(archive, [(CT, (EXPLICIT,))], calling=title, called=title) as requestor:
            assert requestor.store(ct(study=1, number=number + 1))[0x0900] == wire.SUCCESS
    assert not [path for path in archive.directory.parent.rglob("*") if "VICTIM" in path.name or path.name == "secret"]
    assert len(find(archive, identifier("STUDY", StudyInstanceUID="")).rows) == 1


def directory_record(*file_id):
    """A DICOMDIR whose one record names a file (PS3.3 section F.3)."""
    def element(group, number, vr, value):
        value += b"\0" * (len(value) % 2) if vr == b"UI" else b" " * (len(value) % 2)
        head = struct.pack("<HH2s", group, number, vr)
        return head + (struct.pack("<2xI", len(value)) if vr in (b"SQ", b"OB") else struct.pack("<H", len(value))) + value

    record = element(4, 0x1430, b"CS", b"IMAGE") + element(4, 0x1500, b"CS", "\\".join(file_id).encode())
    body = element(4, 0x1220, b"SQ", struct.pack("<HHI", 0xFFFE, 0xE000, len(record)) + record)
    meta = (element(2, 1, b"OB", b"\0\1") + element(2, 2, b"UI", b"1.2.840.10008.1.3.10")
            + element(2, 3, b"UI", b"1.2.3.4.29") + element(2, 0x10, b"UI", EXPLICIT.encode()))
    return bytes(128) + b"DICM" + element(2, 0, b"UL", struct.pack("<I", len(meta))) + meta + body


def test_file_ids_of_a_dicomdir_lead_nowhere(archive, tmp_path):
    """Row 29: what an import finds is what lies in the folder, not what a DICOMDIR points at."""
    secret = ct(study=9)
    secret.write(tmp_path / "outside" / "SECRET")
    inside = ct(study=1)
    inside.write(tmp_path / "disc" / "IMAGE1")
    for number, file_id in enumerate([("..", "outside", "SECRET"), ("../outside/SECRET",), ("", "etc", "passwd")]):
        folder = tmp_path / "disc" / f"d{number}"
        folder.mkdir()
        (folder / "DICOMDIR").write_bytes(directory_record(*file_id))
    done = archive.command("import", tmp_path / "disc", with_config=True)
    assert done.returncode in (0, SOME_REFUSED), done.stderr
    found = {row.StudyInstanceUID for row in find(archive, identifier("STUDY", StudyInstanceUID="")).rows}
    assert inside.study in found and secret.study not in found


SOURCES = [path for folder in ("Sources", "Storage", "Tools") for path in (ROOT / folder).rglob("*")
           if path.suffix in (".swift", ".c", ".cpp", ".h")]
OBJECTS = r"NSKeyedUnarchiver|NSUnarchiver|PropertyListDecoder|PropertyListSerialization|dlopen\s*\("


def test_the_program_can_start_no_shell():
    """Row 31: of all that starts programs it imports one function, and one source calls it: for workers, by path."""
    done = subprocess.run(["nm", "-D", "--undefined-only", str(BINARY)], capture_output=True, text=True, check=True)
    imported = {line.split()[-1].partition("@")[0] for line in done.stdout.splitlines()}
    assert "write" in imported or "pwrite" in imported
    starters = {"system", "popen", "wordexp", "fork", "vfork", "clone", "posix_spawn", "posix_spawnp", "execl", "execle",
                "execlp", "execv", "execve", "execvp", "execvpe", "fexecve"}
    assert imported & starters == {"posix_spawn"}
    assert [path.name for path in SOURCES if re.search(r"\bposix_spawn\(&", path.read_text())] == ["csystem.c"]


def test_no_source_reads_serialized_objects():
    """Row 32: what is read is DICOM, JSON of known shapes, and the archive's own records."""
    for path in SOURCES:
        assert not re.search(OBJECTS, path.read_text()), path
