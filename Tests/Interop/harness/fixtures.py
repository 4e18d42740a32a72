"""Fixtures of all whole-service tests; the conftest.py files import them."""
import shutil
import signal
import threading

import pytest

from harness.archive import BINARY, Archive, configuration
from harness.clients import Destination


FAILED = pytest.StashKey()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    """A test's folder goes when it has passed, its end included: a whole run would otherwise keep 18 GB."""
    report = yield
    item.stash[FAILED] = item.stash.get(FAILED, False) or report.failed
    if report.when == "teardown" and not item.stash[FAILED] and "tmp_path" in item.funcargs:
        shutil.rmtree(item.funcargs["tmp_path"], ignore_errors=True)
    return report


@pytest.fixture(scope="session", autouse=True)
def folders(request, tmp_path_factory):
    """The same for what modules share, when all have passed."""
    yield
    if not request.session.testsfailed:
        shutil.rmtree(tmp_path_factory.getbasetemp(), ignore_errors=True)


@pytest.fixture(autouse=True)
def time_limit(request):
    """A test that hangs fails after its limit instead of holding everything up."""
    marker = request.node.get_closest_marker("limit")
    seconds = marker.args[0] if marker else 300

    def give_up(*_):
        raise TimeoutError(f"the test took longer than its {seconds} s")

    assert threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(seconds)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="session", autouse=True)
def binary():
    if not BINARY.exists():
        pytest.exit(f"{BINARY} is not there: swift build -c release --product snimok", returncode=1)


@pytest.fixture
def new_archive(tmp_path):
    """Makes and starts archives, each checked and stopped at the test's end: new_archive(dicom={…}, peers=[…])."""
    made = []

    def make(start=True, checked=True, name=None, wrapper=(), **sections):
        archive = Archive(tmp_path / (name or f"archive{len(made)}"), configuration(**sections), wrapper)
        made.append((archive, checked))
        return archive.start() if start else archive

    yield make
    try:
        for archive, checked in made:
            archive.close(checked)
    finally:
        for archive, _ in made:
            archive.kill()


@pytest.fixture
def archive(new_archive):
    """A fresh archive that anybody may call."""
    return new_archive()


@pytest.fixture
def destination():
    """A storage SCP for C-MOVE that takes CT."""
    opened = Destination()
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One archive for all tests of a module that do not disturb each other."""
    archive = Archive(tmp_path_factory.mktemp("shared"), configuration()).start()
    try:
        yield archive
        archive.close()
    finally:
        archive.kill()
