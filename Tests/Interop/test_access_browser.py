# SPDX-License-Identifier: Apache-2.0
"""Signing in with a browser, OHIF behind it, and text from data sets that would like to be a script."""
import json

import pytest

from harness.access import add_user
from harness.browser import Browser
from harness.clients import store_all
from harness.samples import ct
from harness.web import with_pictures
from test_ohif import NOISE, ohif  # noqa: F401 (a fixture)

# At most 64 bytes, as names of users are.
SCRIPTED = "<img src=x onerror=document.title='pwned'>"
SCRIPTS = ["<script>document.title='pwned'</script>", "\"><img src=x onerror=document.title='pwned'>",
           "<svg/onload=document.title='pwned'>"]


@pytest.fixture
def guarded(ohif, tmp_path):  # noqa: F811
    archive = with_pictures(tmp_path / "archive", web={"ohifDirectory": str(ohif)})
    try:
        archive.address = f"http://127.0.0.1:{archive.http_port}"
        store_all(archive, [ct(95, 1, 1, PatientName="Иванов^Пётр", SpecificCharacterSet="ISO_IR 192")])
        for number, script in enumerate(SCRIPTS):
            store_all(archive, [ct(
                96 + number, 1, 1, PatientName=script, PatientID=script, StudyDescription=script, SeriesDescription=script,
                ReferringPhysicianName=script, InstitutionName=script)])
        add_user(archive, "anna", "viewer", "uploader")
        add_user(archive, SCRIPTED, "viewer")
        yield archive
        archive.close()
    finally:
        archive.kill()


def sign_in(browser, name):
    browser.wait("!!document.querySelector('#name')")
    browser.click(*browser.middle("#name"))
    browser.call("Input.insertText", text=name)
    browser.click(*browser.middle("#password"))
    browser.call("Input.insertText", text="correct horse battery")
    browser.click(*browser.middle("button"))


def fetched(browser, method, target, opener):
    """The status that a request of the page itself gets."""
    if opener == "fetch":
        return browser.evaluate(f"fetch({target!r}, {{method: {method!r}, body: '{{\"instances\": []}}'}}).then(r => r.status)")
    return browser.evaluate(
        f"new Promise(done => {{ const r = new XMLHttpRequest(); r.open({method!r}, {target!r}); "
        "r.onloadend = () => done(r.status); r.send('{\"instances\": []}') })")


@pytest.mark.limit(240)
def test_signing_in_opens_the_viewer_and_signing_out_closes_it(guarded, tmp_path):
    with Browser(tmp_path) as browser:
        browser.open(f"{guarded.address}/ohif/")
        # The page is a person's way in, not an error.
        browser.wait("location.pathname === '/login'")
        browser.open(f"{guarded.address}/login?lang=ru&to=%2Fohif%2F")
        browser.wait_for_text("Войти")
        sign_in(browser, "anna")
        browser.wait("location.pathname === '/ohif/'")
        browser.wait_for_text("Иванов, Пётр")
        assert "snimok" not in browser.evaluate("document.cookie"), "a script sees the session"
        assert browser.evaluate("localStorage.length + sessionStorage.length") is not None
        assert fetched(browser, "POST", "/dicom-web/uploads/check", "xhr") == 200
        assert fetched(browser, "POST", "/dicom-web/uploads/check", "fetch") == 403
        errors = [e for e in browser.errors if not any(noise in e for noise in [*NOISE, "/dicom-web/uploads/check"])]
        assert not errors, errors
        bad = [r for r in browser.failed_requests(f"{guarded.address}/") if "uploads/check" not in r["url"]
               and not any(noise in r["url"] for noise in NOISE)]
        assert not bad, bad
        # A picture comes with the cookie too.
        study = ct(95, 1, 1).study
        browser.open(f"{guarded.address}/ohif/viewer?StudyInstanceUIDs={study}")
        browser.wait("!!document.querySelector('canvas.cornerstone-canvas')", 90)

        browser.open(f"{guarded.address}/login?lang=en")
        browser.wait_for_text("You are signed in")
        browser.click(*browser.middle("button"))
        browser.wait("!!document.querySelector('#password')")
        browser.open(f"{guarded.address}/ohif/")
        browser.wait("location.pathname === '/login'")


@pytest.mark.limit(240)
def test_script_in_a_patients_name_stays_text(guarded, tmp_path):
    with Browser(tmp_path) as browser:
        browser.open(f"{guarded.address}/login?lang=en&to=%2Fohif%2F")
        sign_in(browser, SCRIPTED)
        browser.wait("location.pathname === '/ohif/'")
        browser.wait_for_text("Иванов, Пётр")
        browser.wait_for_text("document.title='pwned'")
        for number in range(len(SCRIPTS)):
            browser.open(f"{guarded.address}/ohif/viewer?StudyInstanceUIDs={ct(96 + number, 1, 1).study}")
            browser.wait("!!document.querySelector('canvas.cornerstone-canvas')", 90)
            assert browser.evaluate("document.title") != "pwned"
        browser.open(f"{guarded.address}/login?lang=en")
        browser.wait_for_text(SCRIPTED)
        assert browser.evaluate("document.querySelectorAll('img').length") == 0
        assert browser.evaluate("document.title") != "pwned"
        # JSON and pictures of errors are never taken for pages.
        browser.open(f"{guarded.address}/dicom-web/studies/{json.dumps(SCRIPTS[0])}")
        browser.wait_for_text("about:blank")
        assert browser.evaluate("document.title") != "pwned"
