"""The archive against its own description, /openapi.json: schemathesis makes requests of it, well-formed and not, and
holds each answer against what is described."""
import json
import os
import re
import subprocess
import sys

import pytest
from pydicom.data import get_testdata_file

from harness.archive import ROOT
from harness.clients import store_all
from harness.samples import ct_study, read_file
from harness.web import with_pictures

REQUIREMENTS = ROOT / "Tests" / "requirements-web.txt"
ENVIRONMENT = ROOT / ".build-python-web"
SEED = 4
# negative_data_rejection is not among them: a malformed Range or ETag is to be ignored (RFC 9110), not refused.
CHECKS = ("not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,"
          "response_schema_conformance,unsupported_method,allow_header_conformance")
OPTIONS = ["--checks", CHECKS, "--phases", "examples,coverage,fuzzing", "--max-examples", "20", "--seed", str(SEED),
           "--continue-on-failure", "--no-shrink", "--request-timeout", "20", "--suppress-health-check", "all",
           "--warnings", "off", "--no-color"]
HOOKS = ROOT / "Tests" / "Interop" / "harness" / "schemathesis_hooks.py"
FILES = ["emri_small.dcm", "SC_rgb_2frame.dcm", "SC_rgb_dcmtk_+eb+cy+np.dcm", "color-pl.dcm"]


@pytest.fixture(scope="module")
def schemathesis():
    """The program, in an environment of its own that is made anew when the versions change."""
    kept = ENVIRONMENT / "requirements.txt"
    if not kept.exists() or kept.read_text() != REQUIREMENTS.read_text():
        subprocess.run([sys.executable, "-m", "venv", "--clear", ENVIRONMENT], check=True)
        subprocess.run([ENVIRONMENT / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check",
                        "--requirement", REQUIREMENTS], check=True)
        kept.write_text(REQUIREMENTS.read_text())
    return ENVIRONMENT / "bin" / "st"


@pytest.fixture(scope="module")
def described(tmp_path_factory):
    """An archive with a few studies, and what of it the requests are to name."""
    archive = with_pictures(tmp_path_factory.mktemp("openapi"))
    try:
        instances = [*ct_study(1, 3), *(read_file(get_testdata_file(name)) for name in FILES)]
        store_all(archive, instances)
        archive.known = {
            "seed": SEED, "files": [get_testdata_file(name) for name in FILES],
            "instances": [
                {"study": i.study, "series": i.series, "instance": i.sop_instance, "bulkdata": ["7FE00010", "00091010"]}
                for i in instances]}
        yield archive
        archive.close()
    finally:
        archive.kill()


def test_the_description_is_valid_json_of_the_version_it_names(described):
    status, text = described.http("/openapi.json")
    assert status == 200
    document = json.loads(text)
    assert document["openapi"].startswith("3.")
    assert all(path.startswith("/") for path in document["paths"])
    named = re.findall(r'"\$ref": ?"#/components/([^"]+)"', text)
    assert named
    for reference in set(named):
        kind, name = reference.split("/")
        assert name in document["components"][kind], f"{reference} is named and not there"


@pytest.mark.limit(240)
def test_all_answers_are_as_described(schemathesis, described, tmp_path):
    known = tmp_path / "known.json"
    known.write_text(json.dumps(described.known))
    # Its database of earlier findings would stand in the current folder, and change what is tried.
    done = subprocess.run(
        [schemathesis, "run", f"http://127.0.0.1:{described.http_port}/openapi.json", *OPTIONS], capture_output=True,
        text=True, cwd=tmp_path, timeout=220,
        env={**os.environ, "SNIMOK_KNOWN": str(known), "PYTHONIOENCODING": "utf-8", "SCHEMATHESIS_HOOKS": str(HOOKS)})
    print(done.stdout[-20000:], done.stderr[-3000:])
    assert described.process.poll() is None, "the server is gone"
    assert done.returncode == 0, "some answers are not as described; see above"
