"""The server as an operator meets it: start, echo, health, orderly end, command line, exit codes."""
import json
import re
import signal
import socket
import subprocess
import threading
import time

import pytest

from harness import wire
from harness.archive import (
    BINARY, CONFIGURATION, DIRECTORY_IN_USE, DIRECTORY_NEWER, DIRECTORY_UNUSABLE, INPUT_MISSING, USAGE, Archive,
    command, configuration)
from harness.clients import find, identifier, store_all
from harness.samples import ct, ct_study
from harness.tools import free_port, run

SUBCOMMANDS = ["serve", "import", "export", "verify", "rebuild", "stats", "check-config"]


def test_the_ready_line_names_addresses_that_answer(archive):
    ready = next(line for line in archive.log if "ready dicom=" in line)
    assert re.search(r"ready dicom=127\.0\.0\.1:\d+ http=127\.0\.0\.1:\d+$", ready)
    assert archive.dicom_port > 0 and archive.http_port > 0, "port 0 stands for a free one, which is printed"
    assert archive.dicom_port != archive.http_port
    wire.echo(archive)
    assert archive.http("/healthz")[0] == 200


def test_dcmtk_echoscu_is_answered(archive):
    run("echoscu", "-aet", "TESTER", "-aec", "SNIMOK", "127.0.0.1", archive.dicom_port)


def test_dcmtk_storescu_stores_and_findscu_finds(archive, tmp_path):
    for number, instance in enumerate(ct_study(count=3)):
        instance.write(tmp_path / "in" / f"{number}.dcm")
    run("storescu", "-aec", "SNIMOK", "+sd", "127.0.0.1", archive.dicom_port, tmp_path / "in")
    found = find(archive, identifier("IMAGE", SOPInstanceUID=""))
    assert found.status == 0 and len(found.rows) == 3


def test_health_and_readiness_are_told_over_http(archive):
    assert archive.http("/healthz")[0] == 200
    assert archive.http("/readyz")[0] == 200
    assert archive.http("/no-such-page")[0] == 404


def test_metrics_are_in_the_prometheus_format_and_count_stores(archive):
    def metrics():
        status, text = archive.http("/metrics")
        assert status == 200
        for line in text.splitlines():
            assert re.fullmatch(r"#.*|[a-zA-Z_:][a-zA-Z0-9_:]*(\{.*\})? \S+( \d+)?|", line), line
        return text

    before = metrics()
    store_all(archive, ct_study(count=2))
    assert metrics() != before, "two stores change no metric"


def test_sigterm_lets_a_running_store_finish_and_ends_with_0(archive):
    instance = ct(rows=512)
    requestor = wire.Requestor(archive, [instance_context(instance)])
    data = wire.message(1, wire.command_set(wire.store_command(*uids(instance))), instance.data, 16384)
    half = len(data) // 2
    requestor.socket.sendall(data[:half])
    time.sleep(0.2)
    archive.process.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    requestor.socket.sendall(data[half:])
    response, _ = requestor.receive()
    assert response[wire.STATUS] == wire.SUCCESS, "what had begun before SIGTERM is finished"
    try:
        requestor.release()
    except (wire.Closed, wire.Aborted, OSError, AssertionError):
        pass
    requestor.socket.close()
    assert archive.process.wait(30) == 0
    archive.reader.join(5)
    archive.process = None
    archive.start()
    assert find(archive, identifier("IMAGE", SOPInstanceUID="")).values("SOPInstanceUID") == [instance.sop_instance]


def instance_context(instance):
    return instance.sop_class, (instance.transfer_syntax,)


def uids(instance):
    return instance.sop_class, instance.sop_instance


def test_sigterm_ends_idle_associations_too(archive):
    idle = wire.Requestor(archive)
    assert idle.echo() == wire.SUCCESS
    archive.stop(timeout=45)
    idle.socket.close()


def test_a_restart_finds_everything_again(archive):
    store_all(archive, ct_study(count=5))
    before = archive.stats()
    archive.restart()
    assert archive.stats() == before
    assert len(find(archive, identifier("IMAGE", SOPInstanceUID="")).rows) == 5


@pytest.mark.parametrize("subcommand", SUBCOMMANDS)
def test_help_is_printed_for(subcommand):
    done = command(subcommand, "--help", check=0)
    assert f"snimok {subcommand}" in done.stdout + done.stderr


def test_help_of_the_program_names_every_subcommand():
    text = command("--help", check=0).stdout
    assert all(name in text for name in SUBCOMMANDS)


@pytest.mark.parametrize("arguments", [
    [], ["no-such-subcommand"], ["serve", "--no-such-option"], ["serve", "--dicom-port", "many"],
    ["serve", "--dicom-port"], ["verify", "--quick", "--full"], ["export", "--all"], ["import"],
], ids=lambda words: " ".join(words) or "nothing")
def test_wrong_usage_is_said_with_exit_code_2_for(arguments):
    done = command(*arguments, check=USAGE, timeout=20)
    assert done.stderr.strip(), "nothing says what was wrong"


def test_a_missing_import_folder_has_an_exit_code_of_its_own(new_archive, tmp_path):
    archive = new_archive(start=False)
    done = archive.command("import", tmp_path / "nowhere", check=INPUT_MISSING)
    assert "nowhere" in done.stderr


def test_a_good_configuration_is_accepted_with_comments_and_trailing_commas(tmp_path):
    file = tmp_path / "good.json5"
    file.write_text("// JSON5\n{ aeTitle: 'SNIMOK', dicom: { port: 11112, }, peers: [], }\n")
    command("check-config", file, check=0)


@pytest.mark.parametrize("text, named", [
    ("{ aeTitel: 'SNIMOK' }", "aeTitel"),
    ("{ dicom: { port: 'many' } }", "port"),
    ("{ dicom: { port: 70000 } }", "port"),
    ("{ aeTitle: 'MUCH-TOO-LONG-AN-AE-TITLE' }", "MUCH-TOO-LONG"),
    ("{ aeTitle: 'SNIMOK'", ""),
    ("{ peers: [ { aeTitle: 'A', characterSet: 'KLINGON' } ] }", "KLINGON"),
], ids=["unknown key", "wrong type", "port out of range", "AE title too long", "not closed", "unknown character set"])
def test_a_wrong_configuration_is_named_with_exit_code_65(tmp_path, text, named):
    file = tmp_path / "wrong.json5"
    file.write_text(text)
    for arguments in (["check-config", file], ["serve", "--config", file, "--data", tmp_path / "data"]):
        done = command(*arguments, check=CONFIGURATION, timeout=20)
        assert named in done.stderr


def test_a_configuration_from_the_environment_counts(new_archive):
    archive = new_archive(start=False)
    archive.wrapper = ["/usr/bin/env", "SNIMOK__AETITLE=OTHER"]
    archive.server_pid = lambda: archive.process.pid  # env becomes the server
    archive.start()
    with wire.Requestor(archive, called="OTHER") as requestor:
        assert requestor.echo() == wire.SUCCESS


def test_a_data_directory_in_use_is_refused_with_a_sentence(archive):
    done = command("serve", "--data", archive.data, "--dicom-port", "0", "--http-port", "0",
                   check=DIRECTORY_IN_USE, timeout=20)
    assert str(archive.data) in done.stderr
    wire.echo(archive)


def test_a_data_directory_of_a_newer_version_is_refused_with_a_sentence(archive):
    store_all(archive, [ct()])
    archive.stop()
    file = archive.data / "format"
    before = file.read_text()
    file.write_text(json.dumps({**json.loads(before), "format": 99}) + "\n")
    for name in ("serve", "verify", "rebuild", "stats"):
        more = ["--dicom-port", "0", "--http-port", "0"] if name == "serve" else []
        done = archive.command(name, *more, check=DIRECTORY_NEWER, timeout=20)
        assert "newer" in done.stderr
    file.write_text(before)
    archive.start()


@pytest.mark.parametrize("kind", ["a file", "below a file"])
def test_a_data_directory_that_cannot_be_used_is_refused(tmp_path, kind):
    file = tmp_path / "file"
    file.write_text("not a directory")
    path = file if kind == "a file" else file / "data"
    done = command("serve", "--data", path, "--dicom-port", "0", "--http-port", "0", check=DIRECTORY_UNUSABLE,
                   timeout=20)
    assert str(path) in done.stderr


def test_a_port_in_use_is_refused_with_a_sentence(new_archive):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        archive = new_archive(start=False)
        archive.dicom_port = taken.getsockname()[1]
        done = subprocess.run([BINARY, *map(str, archive.arguments())], capture_output=True, text=True, timeout=20)
    assert done.returncode not in (0, None) and done.returncode > 0, "an exit code, not a crash"
    assert str(archive.dicom_port) in done.stderr


def test_a_fixed_port_can_be_taken_again_at_once(tmp_path):
    archive = Archive(tmp_path, configuration(), dicom_port=free_port(), http_port=free_port()).start()
    try:
        wire.echo(archive)
        for _ in range(3):
            archive.restart()
            wire.echo(archive)
        archive.close()
    finally:
        archive.kill()


def test_several_associations_at_once_are_served(archive):
    failures = []

    def client(study):
        try:
            with wire.Requestor(archive, [(wire.CT, (wire.EXPLICIT,))]) as requestor:
                for instance in ct_study(study, count=10):
                    assert requestor.store(instance)[wire.STATUS] == wire.SUCCESS
        except Exception as error:  # told below, in the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=client, args=(study,)) for study in range(1, 33)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not failures, failures[:3]
    assert archive.stats()["instances"] == 320 and archive.stats()["studies"] == 32


def test_several_stores_are_outstanding_when_the_window_allows(archive):
    window = wire.user_information(extra=wire.item(0x53, b"\x00\x08\x00\x01"))
    instances = ct_study(count=8)
    with wire.Requestor(archive, [(wire.CT, (wire.EXPLICIT,))], user=window) as requestor:
        for number, instance in enumerate(instances, 1):
            requestor.send(1, wire.store_command(*uids(instance), number), instance.data)
        answers = [requestor.receive()[0] for _ in instances]
    assert sorted(answer[wire.RESPONDED] for answer in answers) == list(range(1, 9))
    assert all(answer[wire.STATUS] == wire.SUCCESS for answer in answers)
    assert archive.stats()["instances"] == 8
