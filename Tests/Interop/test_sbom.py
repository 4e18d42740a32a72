# SPDX-License-Identifier: Apache-2.0
"""The software bill of materials names what the program loads."""
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.archive import BINARY, ROOT


@pytest.fixture(scope="module")
def bill():
    done = subprocess.run(
        [sys.executable, str(ROOT / "Tools" / "sbom"), "--binary", str(BINARY)], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_it_is_a_cyclonedx_document(bill):
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.5")
    assert re.fullmatch(r"urn:uuid:[0-9a-f-]{36}", bill["serialNumber"])
    references = [component["bom-ref"] for component in bill["components"]]
    assert len(set(references)) == len(references) > 10
    for component in bill["components"]:
        assert component["type"] == "library" and component["name"] and component["version"]
        assert re.fullmatch(r"pkg:(deb/debian|generic)/[^@]+@.+", component["purl"])
    assert set(bill["dependencies"][0]["dependsOn"]) <= set(references)


def test_every_library_that_runs_is_in_it(bill):
    """Not by its own means: the loader's map of the running program."""
    process = subprocess.Popen([str(BINARY), "check-config", "/dev/stdin"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    try:
        maps = before = ""
        # Until the loader is done.
        while "libsqlite3" not in maps or maps != before:
            time.sleep(0.1)
            before, maps = maps, Path(f"/proc/{process.pid}/maps").read_text()
    finally:
        process.kill()
        process.wait()
    packages = {component["name"] for component in bill["components"]}
    libraries = {line.split()[-1] for line in maps.splitlines() if re.search(r"\.so(\.[\d.]+)?$", line)}
    assert len(libraries) > 20
    for library in libraries:
        if "/swift/" in library:
            assert "swift-runtime" in packages
            continue
        path = os.path.realpath(library)
        owners = [subprocess.run(["dpkg", "-S", name], capture_output=True, text=True).stdout
                  for name in (path, path.removeprefix("/usr"))]
        assert any(owner.partition(":")[0] in packages for owner in owners if owner), library


def test_every_direct_dependency_has_a_licence(bill):
    direct = set(bill["dependencies"][0]["dependsOn"])
    for component in bill["components"]:
        if component["bom-ref"] in direct:
            assert component.get("licenses"), component["name"]
