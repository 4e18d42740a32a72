# SPDX-License-Identifier: Apache-2.0
"""kill -9 while many read: whatever was answered is in the audit trail, and its chain holds.

SNIMOK_ACCESSES sets how many answered accesses (400 without it; the full proof is 10,000), SNIMOK_SEED when it is killed.
"""
import threading
import time

import pytest

from harness import audit, web
from harness.archive import Archive, configuration
from harness.clients import STUDY_FIND, association, find, get, identifier, store_all
from harness.samples import EXPLICIT, ct_study
from proof import amount, chooser, record
from scenarios import BROKEN

WANTED = amount("SNIMOK_ACCESSES", 400, 10_000)


class Reader(threading.Thread):
    """Reads on until the archive is gone. Each access has a mark of its own, or is counted."""

    def __init__(self, archive, name):
        super().__init__(daemon=True)
        self.archive, self.prefix = archive, name
        self.marks, self.fetched = [], 0
        self.start()

    def run(self):
        try:
            while True:
                self.step(f"{self.prefix}x{len(self.marks)}.")
        except (*BROKEN, AssertionError, RuntimeError, ValueError):
            return


class Searcher(Reader):
    def step(self, mark):
        assert web.get(self.archive, f"studies?PatientID={mark}").status == 204
        self.marks.append(mark)


class Fetcher(Reader):
    """What tells no mark: as many entries as answers are wanted."""

    def step(self, mark):
        assert web.get(self.archive, f"studies/{self.archive.study[0].study}/metadata").status == 200
        self.fetched += 1


class Finder(Reader):
    def step(self, mark):
        with association(self.archive, [(STUDY_FIND, [EXPLICIT])]) as opened:
            while True:
                mark = f"{self.prefix}x{len(self.marks)}."
                assert find(self.archive, identifier("STUDY", PatientID=mark), opened=opened).status == 0
                self.marks.append(mark)


class Getter(Reader):
    def step(self, mark):
        got = get(self.archive, identifier("STUDY", StudyInstanceUID=self.archive.study[0].study))
        assert got.completed == 1
        self.fetched += 1


@pytest.fixture
def archive(tmp_path):
    opened = Archive(tmp_path / "archive", configuration()).start()
    yield opened
    opened.close(check=False)


def test_every_answered_access_is_on_record(archive):
    choose = chooser("audit")
    archive.study = ct_study(study=1, count=1)
    store_all(archive, archive.study)
    marks, fetched, retrieved, kills = [], 0, 0, 0
    while len(marks) + fetched + retrieved < WANTED:
        kills += 1
        readers = [Searcher(archive, f"Q{kills}a"), Searcher(archive, f"Q{kills}b"), Fetcher(archive, ""),
                   Finder(archive, f"F{kills}"), Getter(archive, "")]
        time.sleep(choose.uniform(0.2, 1.2))
        archive.kill()
        for reader in readers:
            reader.join(60)
            assert not reader.is_alive()
            marks += reader.marks
        fetched += readers[2].fetched
        retrieved += readers[4].fetched
        archive.command("audit", "verify", check=0)
        archive.start()
    archive.command("audit", "verify", check=0)
    entries = audit.entries(archive)
    searched = {audit.keys(entry) for entry in entries if entry["event"] == "query"}
    together = b"\n".join(searched) + b"\n"
    missing = [mark for mark in marks if mark.encode() not in together]
    assert missing == []
    assert sum(entry["action"] == "WADO-RS metadata" for entry in entries) >= fetched
    assert sum(entry["event"] == "transfer-begun" for entry in entries) >= retrieved
    record("auditKills", accesses=len(marks) + fetched + retrieved, kills=kills)
    archive.close()
