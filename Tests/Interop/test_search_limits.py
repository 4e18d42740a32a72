# SPDX-License-Identifier: Apache-2.0
"""A query for everything (THREATS 18): what searching costs has an end that is told, and who takes an answer slowly holds up
nobody. The archive is filled through its own log, so that there is something to search."""
import subprocess
import time

import pytest

from harness import web, wire
from harness.archive import BINARY, Archive, configuration
from harness.clients import find, identifier
from harness.samples import encode
from harness.wire import EXPLICIT, STUDY_FIND

STUDIES = 30_000
READERS = 32
OUT_OF_RESOURCES = 0xA700
# Two letters have no trigram, so every study is looked at.
EVERYWHERE = {"StudyDescription": "*q?x*"}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    archive = Archive(tmp_path_factory.mktemp("filled"), configuration())
    archive.start().stop()
    subprocess.run([BINARY.with_name("snimok-load"), "--fill", archive.data, "--studies", str(STUDIES), "--instances", "1",
                    "--rows", "4", "--columns", "4"], check=True, capture_output=True, stdin=subprocess.DEVNULL)
    archive.start()
    try:
        yield archive
        archive.close()
    finally:
        archive.kill()


def test_a_search_that_takes_too_long_ends_and_says_so(server):
    server.stop()
    server.write_config(configuration(query={"searchSecondsMaximum": 0.001}))
    server.start()
    try:
        found = find(server, identifier("STUDY", StudyInstanceUID="", **EVERYWHERE))
        assert (found.status, found.rows) == (OUT_OF_RESOURCES, []) and "takes too long; narrow" in found.comment
        server.wait_for_log("query given up")
        assert "takes too long; narrow" in web.get(server, "studies" + web.query(**EVERYWHERE), web.JSON).problem(413)
        # The connections that were stopped serve the next ones.
        for _ in range(3):
            assert web.get(server, "studies?limit=1", web.JSON).expect(200).rows()
            assert find(server, identifier("STUDY", StudyInstanceUID="", PatientID="nobody")).status == 0
    finally:
        server.stop()
        server.write_config(configuration())
        server.start()
    assert find(server, identifier("STUDY", StudyInstanceUID="", **EVERYWHERE)).status == 0


def test_readers_of_everything_who_read_nothing_hold_up_nobody(server):
    """More of them than the catalog has connections, by both protocols."""
    everything = identifier("STUDY", StudyInstanceUID="", PatientName="", PatientID="", StudyDescription="")
    held = []
    try:
        for number in range(READERS + 4):
            requestor = wire.Requestor(server, [(STUDY_FIND, (EXPLICIT,))], receive_buffer=4096)
            held.append(requestor.socket)
            requestor.send(requestor.context(STUDY_FIND), {
                wire.CLASS: STUDY_FIND, wire.FIELD: wire.C_FIND, wire.MESSAGE: 1, wire.PRIORITY: 0,
                wire.DATA_SET_TYPE: 1}, encode(everything))
        for number in range(READERS + 4):
            connection = web.connect(server)
            held.append(connection)
            connection.sendall(web.head_of(server, "GET", "/dicom-web/studies?includefield=all", [("Accept", web.JSON)]))
        time.sleep(1)
        started = time.monotonic()
        assert len(find(server, identifier("STUDY", StudyInstanceUID="", PatientID="nobody")).rows) == 0
        assert len(web.get(server, "studies?limit=1", web.JSON).expect(200).rows()) == 1
        assert time.monotonic() - started < 5, "they wait for those who do not read"
    finally:
        for connection in held:
            connection.close()
