# SPDX-License-Identifier: Apache-2.0
"""The software bill of materials names what the program loads."""
import json
import os
import re
import subprocess
import sys
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


def test_every_library_that_runs_is_in_it(bill, archive):
    """Not by its own means: what the running archive has mapped."""
    maps = Path(f"/proc/{archive.process.pid}/maps").read_text()
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
