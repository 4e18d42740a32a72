"""For files of bad input: one server takes all of it and must outlive every test."""

from harness.clients import store_all


def outlive(archive, *instances):
    """For the fixture of that server, which is running: it gets the instances, and all that it has is right at the end."""
    try:
        store_all(archive, instances)
        yield archive
        archive.close()
        archive.start()
        archive.verify("--full")
        archive.stop()
    finally:
        archive.kill()


def running(archive):
    """Before a test: the process, and what the archive has."""
    if archive.process is None or archive.process.poll() is not None:
        # An earlier test has failed by ending it; the others still count for themselves.
        archive.kill()
        archive.start()
    return archive.process.pid, archive.stats()


def assert_same_process(archive, pid):
    assert archive.process is not None and archive.process.poll() is None, "the server died:\n" + archive.log_text()
    assert archive.process.pid == pid


def assert_nothing_left_or_lost(archive, before):
    archive.assert_nothing_leaked()
    assert not archive.partial_files()
    assert archive.stats()["instances"] >= before["instances"]
