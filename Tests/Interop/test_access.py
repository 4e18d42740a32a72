# SPDX-License-Identifier: Apache-2.0
"""Who is let in over HTTP, and to what: every route with every kind of credentials and every role; sessions, guessing,
proxies, and what must not start."""
import base64
import hashlib
import hmac
import json
import os
import re
import socket
import statistics
import subprocess
import time

import pytest
from dicomweb_client.api import DICOMwebClient

from harness import web
from harness.access import (
    PASSWORD, ROLES, add_token, add_user, basic, bearer, cookie_of, form, session, set_password, sign_in)
from harness.archive import CONFIGURATION, INPUT_MISSING, ROOT, USAGE, Archive, configuration
from harness.clients import store_all
from harness.samples import ct

PERMISSIONS = ["query", "retrieve", "store", "delete", "share", "administer", "audit", "monitor"]
# What each role may, as README has it; not taken from the program.
MAY = {
    "viewer": {"query", "retrieve"},
    "uploader": {"query", "store"},
    "administrator": set(PERMISSIONS) - {"audit"},
    "auditor": {"audit"},
}
STUDY = "/dicom-web/studies/{study}"
SERIES = STUDY + "/series/{series}"
INSTANCE = SERIES + "/instances/{instance}"
LOOSE = "/dicom-web/series/{series}"
ANYBODY, KNOWN = "anybody", "known"
# What each route needs. A route without an entry here makes the tests fail.
NEEDS = {
    ("GET", "/healthz"): ANYBODY, ("GET", "/readyz"): ANYBODY, ("GET", "/login"): ANYBODY, ("GET", "/login.css"): ANYBODY,
    ("POST", "/login"): ANYBODY, ("GET", "/ohif/manifest.json"): ANYBODY,
    ("GET", "/"): KNOWN, ("GET", "/openapi.json"): KNOWN, ("GET", "/whoami"): KNOWN, ("POST", "/logout"): KNOWN,
    ("GET", "/dicom-web/"): KNOWN, ("OPTIONS", "/dicom-web/"): KNOWN, ("GET", "/ohif/"): KNOWN,
    ("GET", "/ohif/app-config.js"): KNOWN,
    ("GET", "/metrics"): "monitor",
    ("GET", "/wado"): "retrieve",
    ("POST", "/dicom-web/uploads/check"): "store", ("POST", "/dicom-web/studies"): "store", ("POST", STUDY): "store",
    **{("GET", path): "query" for path in [
        "/dicom-web/studies", "/dicom-web/series", "/dicom-web/instances", STUDY + "/series", STUDY + "/instances",
        SERIES + "/instances", LOOSE + "/instances"]},
    **{("GET", path + part): "retrieve" for path in [STUDY, SERIES, INSTANCE, LOOSE, LOOSE + "/instances/{instance}"]
       for part in ["", "/metadata", "/rendered", "/thumbnail"]},
    **{("GET", path + part): "retrieve" for path in [INSTANCE, LOOSE + "/instances/{instance}"]
       for part in ["/frames/{frames}", "/frames/{frames}/rendered", "/frames/{frames}/thumbnail", "/bulkdata/{path}"]},
    **{("DELETE", path): "delete" for path in [STUDY, SERIES, INSTANCE]},
    ("GET", "/shares"): "share", ("POST", "/shares"): "share", ("DELETE", "/shares/{share}"): "share",
}
# The addresses of Sources/Server/Web/RouteTable.swift, so that a new one there does not go unnoticed.
IN_TABLE = {
    "", "healthz", "readyz", "metrics", "openapi.json", "login", "login.css", "logout", "whoami", "ohif/**", "ohif/manifest.json", "studies",
    "series", "instances", "studies/*", "studies/*/series", "studies/*/instances", "studies/*/series/*",
    "studies/*/series/*/instances", "studies/*/series/*/instances/*", "series/*", "series/*/instances",
    "series/*/instances/*", "uploads/check", "metadata", "rendered", "thumbnail", "frames/*", "frames/*/rendered",
    "frames/*/thumbnail", "bulkdata/*", "shares", "shares/*",
}


@pytest.fixture(scope="module")
def viewer_folder(tmp_path_factory):
    """As little of a viewer as is served."""
    folder = tmp_path_factory.mktemp("viewer")
    (folder / "index.html").write_text("<!doctype html><script>window.a = 1</script><p>viewer</p>")
    return folder


@pytest.fixture(scope="module")
def closed(tmp_path_factory, viewer_folder):
    """An archive with a study, a user of each role, and a token of each permission."""
    archive = Archive(tmp_path_factory.mktemp("closed"), configuration(
        dicomweb={"allowDelete": True}, web={"ohifDirectory": str(viewer_folder)})).start()
    try:
        archive.instance = ct(91)
        store_all(archive, [archive.instance])
        add_user(archive, "keeper", *ROLES)
        for role in ROLES:
            add_user(archive, role, role)
        archive.credentials = {
            **{f"basic {role}": (basic(role), MAY[role]) for role in ROLES},
            **{f"session {role}": (session(archive, role), MAY[role]) for role in ROLES},
            **{f"token {name}": (bearer(add_token(archive, f"only-{name}", name)), {name}) for name in PERMISSIONS},
        }
        archive.keeper = basic("keeper")
        yield archive
        archive.close()
    finally:
        archive.kill()


def filled(archive, path, method="GET"):
    """The path with UIDs; those of deletions are nobody's."""
    i = archive.instance
    study, series, instance = (("1.2.3", "1.2.3.4", "1.2.3.4.5") if method == "DELETE"
                               else (i.study, i.series, i.sop_instance))
    return (path.replace("{study}", study).replace("{series}", series).replace("{instance}", instance)
            .replace("{frames}", "1").replace("{share}", "1").replace("{path}", "7FE00010"))


def ask(archive, method, path, headers):
    body = b"{}" if method == "POST" else None
    return web.request(archive, method, filled(archive, path, method), {"Content-Type": "application/json", **headers}, body)


def test_every_route_is_known_here(closed):
    document = json.loads(web.get(closed, "/openapi.json", **closed.keeper).body)
    described = {(method.upper(), path) for path, item in document["paths"].items() for method in item
                 if method in ("get", "post", "put", "patch", "delete", "options")}
    assert described <= set(NEEDS), f"without an entry: {described - set(NEEDS)}"
    assert set(document["components"]["securitySchemes"]) == {"basic", "bearer", "session"}
    table = (ROOT / "Sources" / "Server" / "Web" / "RouteTable.swift").read_text()
    listed = table[table.index("var routes: [Route] = []"):table.index("self.routes = routes")]
    found = {text for text in re.findall(r'"([^"]*)"', listed)
             if text not in ("GET", "POST", "DELETE", "/") and "\\" not in text}
    assert found == IN_TABLE, f"otherwise than here: {found ^ IN_TABLE}"


@pytest.mark.parametrize("route", NEEDS, ids=" ".join)
def test_a_route_is_open_to_whom_it_should_be_and_closed_to_others(closed, route):
    method, path = route
    need = NEEDS[route]
    wrong = []
    for name, (headers, may) in closed.credentials.items():
        if need == ANYBODY or route == ("POST", "/logout"):
            continue
        reply = ask(closed, method, path, headers)
        if need == KNOWN or need in may:
            if reply.status in (401, 403, 404) and not (reply.status == 404 and method == "DELETE"):
                wrong.append((name, reply.status, reply.body[:200]))
        elif reply.status != 403 or need not in reply.problem(403):
            wrong.append((name, reply.status, reply.body[:200]))
    for headers in ({}, bearer("snimok_1_" + "A" * 43), bearer("x"), bearer(""), {"Authorization": "Negotiate abc"},
                    {"Authorization": "Basic !!!"}, {"Cookie": "snimok=" + "A" * 43}, {"Cookie": "snimok="}):
        reply = ask(closed, method, path, headers)
        if (reply.status == 401) != (need != ANYBODY):
            if not (path == "/readyz" and "Authorization" in headers):
                wrong.append((headers, reply.status, reply.body[:200]))
        if reply.status == 401 and not re.search(r'Bearer realm="Snimok".*Basic realm="Snimok"', reply["WWW-Authenticate"]):
            wrong.append((headers, reply["WWW-Authenticate"]))
    assert not wrong, "\n".join(map(str, wrong))


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "POST", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"])
def test_without_credentials_nothing_tells_what_exists(closed, method):
    i = closed.instance
    said = {ask(closed, method, path, {}).body if method != "HEAD" else ask(closed, method, path, {}).status for path in [
        f"/dicom-web/studies/{i.study}", "/dicom-web/studies/1.2.3.4", "/nothing", "/dicom-web/studies/%2e%2e/x", "/",
        f"/dicom-web/studies/{i.study}/metadata", "/admin", "/ohif/nothing.js", "/dicom-web/studies/x/rendered"]}
    assert len(said) == 1, said
    reply = ask(closed, method, "/nothing", {})
    reply.expect(401)


def test_details_of_readiness_are_for_those_who_may_monitor(closed):
    assert web.get(closed, "/readyz").body == b"ready\n"
    web.get(closed, "/readyz", **bearer("nobody")).expect(401)


def test_an_unknown_address_is_404_and_a_method_405_to_the_known(closed):
    web.get(closed, "/nothing", **closed.keeper).expect(404)
    reply = web.request(closed, "PUT", "/dicom-web/studies", closed.keeper, b"")
    assert reply.status == 405 and reply["Allow"] == "GET, HEAD, POST, OPTIONS"


def test_the_sign_in_page_names_itself_in_two_languages_and_runs_nothing(closed):
    for language, word in [("ru-RU,ru;q=0.9", "Войти"), ("en", "Sign in"), ("de", "Sign in")]:
        page = web.get(closed, "/login", Accept_Language=language)
        assert page.status == 200 and word in page.body.decode()
        policy = page["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy
        assert b"<script" not in page.body and page["X-Content-Type-Options"] == "nosniff" and page["Referrer-Policy"]
    policy = web.get(closed, "/ohif/", **closed.keeper)["Content-Security-Policy"]
    assert "frame-ancestors 'self'" in policy and "'unsafe-eval'" not in policy and "sha256-" in policy
    assert "'unsafe-inline'" not in policy.split("style-src")[0]


# Sessions

def test_a_session_cookie_is_out_of_reach_and_new_with_each_sign_in(closed):
    first = sign_in(closed, "viewer")
    assert first.status == 303 and first["Location"] == "/ohif/"
    for part in ["HttpOnly", "SameSite=Strict", "Path=/"]:
        assert part in first["Set-Cookie"].split("; "), first["Set-Cookie"]
    # Session fixation: a value that was there before never becomes a session, and the old session is over.
    planted = "snimok=" + "B" * 43
    second = cookie_of(sign_in(closed, "viewer", headers={"Cookie": planted}))
    assert second != planted
    web.get(closed, "/whoami", Cookie=planted).expect(401)
    third = cookie_of(sign_in(closed, "viewer", headers={"Cookie": second}))
    assert third != second
    web.get(closed, "/whoami", Cookie=second).expect(401)
    web.get(closed, "/whoami", Cookie=third).expect(200)
    # Two cookies of one name: one of them is somebody else's.
    web.get(closed, "/whoami", Cookie=f"{third}; {third}").expect(401)


def test_a_change_by_cookie_needs_the_token_of_the_session(closed):
    shown, other = session(closed, "uploader"), session(closed, "uploader")
    target, body = "/dicom-web/uploads/check", b'{"instances": []}'
    assert web.request(closed, "POST", target, shown, body).status == 200
    for token in ["", "x", other["X-CSRF-Token"]]:
        reply = web.request(closed, "POST", target, {**shown, "X-CSRF-Token": token}, body)
        assert "X-CSRF-Token" in reply.problem(403)
    reply = web.request(closed, "POST", target, {"Cookie": shown["Cookie"]}, body)
    reply.problem(403)
    web.get(closed, "studies", Cookie=shown["Cookie"]).expect(200)


def test_signing_out_ends_the_session_and_needs_its_token(closed):
    shown = session(closed, "viewer")
    form(closed, "/logout", {}, {"Cookie": shown["Cookie"]}).problem(403)
    form(closed, "/logout", {"csrf": "x"}, {"Cookie": shown["Cookie"]}).problem(403)
    web.get(closed, "/whoami", Cookie=shown["Cookie"]).expect(200)
    reply = form(closed, "/logout", {"csrf": shown["X-CSRF-Token"]}, {"Cookie": shown["Cookie"]})
    assert reply.status == 303 and "Max-Age=0" in reply["Set-Cookie"]
    web.get(closed, "/whoami", Cookie=shown["Cookie"]).expect(401)


@pytest.mark.parametrize("origin", [
    "https://evil.example", "null", "http://127.0.0.1", "http://127.0.0.1:1", "https://127.0.0.1:{port}",
    "http://localhost:{port}", "http://127.0.0.1:{port}.evil.example"])
def test_a_foreign_origin_changes_nothing_whatever_it_shows(closed, origin):
    origin = {"Origin": origin.format(port=closed.http_port)}
    body = b'{"instances": []}'
    for headers in (session(closed, "uploader"), basic("uploader"), closed.keeper):
        web.request(closed, "POST", "/dicom-web/uploads/check", {**headers, **origin}, body).problem(403)
        web.request(closed, "DELETE", "/dicom-web/studies/1.2.3", {**headers, **origin}).problem(403)
    sign_in(closed, "viewer", headers=origin).problem(403)
    reply = web.get(closed, "studies", **closed.keeper, **origin)
    assert reply["Access-Control-Allow-Origin"] is None
    own = {"Origin": f"http://127.0.0.1:{closed.http_port}"}
    assert web.request(closed, "POST", "/dicom-web/uploads/check", {**basic("uploader"), **own}, body).status == 200


def test_without_users_a_page_elsewhere_has_no_way_in(archive):
    """A browser on this machine may be led here by a name that a stranger owns (DNS rebinding)."""
    web.get(archive, "studies").expect(204)
    for host in ["localhost", f"localhost:{archive.http_port}", "127.0.0.1", "127.1.2.3:80", "[::1]:8080"]:
        web.get(archive, "studies", Host=host).expect(204)
    for host in ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "10.0.0.1", "[::2]", ""]:
        assert "snimok user add" in web.get(archive, "studies", Host=host).problem(403)
    reply = web.request(archive, "POST", "/dicom-web/uploads/check", {"Origin": "http://evil.example"}, b"{}")
    reply.problem(403)


def test_where_a_sign_in_leads_is_a_path_of_the_archive(closed):
    good = "/ohif/viewer?StudyInstanceUIDs=1.2.3"
    assert sign_in(closed, "viewer", to=good)["Location"] == good
    for bad in ["https://evil.example/", "//evil.example", "/\\evil.example", "/x\r\nSet-Cookie: a=b", "javascript:alert(1)",
                "/" + "x" * 3000, '/"><script>']:
        reply = sign_in(closed, "viewer", to=bad)
        if reply.status == 303:
            assert reply["Location"] == "/ohif/" and "a=b" not in (reply["Set-Cookie"] or "")
        else:
            reply.problem(400)
    page = web.get(closed, "/login" + web.query(to='/"><script>alert(1)</script>', lang="en"))
    assert b"<script" not in page.body
    # A person is led to the page and back; a program gets 401.
    reply = web.get(closed, "/ohif/viewer?StudyInstanceUIDs=1.2.3", accept="text/html,*/*")
    assert reply.status == 303 and reply["Location"] == "/login?to=%2Fohif%2Fviewer%3FStudyInstanceUIDs%3D1.2.3"


def test_the_browser_is_not_asked_for_basic_by_scripts(closed):
    reply = web.get(closed, "studies", Sec_Fetch_Mode="cors")
    assert reply.status == 401 and "Basic" not in reply["WWW-Authenticate"]


# Changes of users and tokens count at once

def test_the_first_user_closes_the_archive_at_once_and_for_good(archive):
    web.get(archive, "studies").expect(204)
    assert json.loads(web.get(archive, "/whoami").body)["kind"] == "local"
    assert archive.command("user", "list", check=0).stdout == "", "a fresh archive has a user"
    add_user(archive, "anna", "viewer")
    web.get(archive, "studies").expect(401)
    web.get(archive, "studies", **basic("anna")).expect(204)
    web.get(archive, "studies", Host="archive.example", **basic("anna")).expect(204)
    assert "disable" in archive.command("user", "remove", "anna").stderr
    archive.command("user", "disable", "anna", check=0)
    web.get(archive, "studies").expect(401)
    archive.restart()
    web.get(archive, "studies").expect(401)
    web.get(archive, "studies", **basic("anna")).expect(401)
    archive.command("user", "enable", "anna", check=0)
    web.get(archive, "studies", **basic("anna")).expect(204)


def test_a_colon_ends_the_name_whatever_mark_stands_behind_it(archive):
    assert "colon" in add_user(archive, "anna:\u0301", "viewer", check=None).stderr
    add_user(archive, "anna", "viewer", password="\u0301a long password")
    web.get(archive, "studies", **basic("anna", "\u0301a long password")).expect(204)


def test_who_is_disabled_removed_or_has_another_password_is_out_at_once(archive):
    add_user(archive, "keeper", "administrator")
    add_user(archive, "anna", "viewer")
    cookie = session(archive, "anna")["Cookie"]
    web.get(archive, "studies", **basic("anna")).expect(204)
    set_password(archive, "anna", "another long password")
    # It was remembered.
    web.get(archive, "studies", **basic("anna")).expect(401)
    web.get(archive, "studies", Cookie=cookie).expect(401)
    shown = basic("anna", "another long password")
    web.get(archive, "studies", **shown).expect(204)
    cookie = session(archive, "anna", "another long password")["Cookie"]
    archive.command("user", "disable", "anna", check=0)
    web.get(archive, "studies", **shown).expect(401)
    web.get(archive, "studies", Cookie=cookie).expect(401)
    archive.command("user", "enable", "anna", check=0)
    web.get(archive, "studies", **shown).expect(204)
    archive.command("user", "remove", "anna", check=0)
    web.get(archive, "studies", **shown).expect(401)
    assert archive.command("user", "remove", "anna").returncode == INPUT_MISSING


def test_a_token_ends_with_its_time_and_when_it_is_revoked(archive):
    short, long = add_token(archive, "short", "query", days=3 / 86400), add_token(archive, "long", "query")
    web.get(archive, "studies", **bearer(long)).expect(204)
    deadline = time.monotonic() + 20
    while web.get(archive, "studies", **bearer(short)).status != 401:
        assert time.monotonic() < deadline, "the token does not expire"
        time.sleep(0.2)
    listed = archive.command("token", "list", check=0).stdout
    assert long not in listed and short not in listed and "long" in listed
    archive.command("token", "revoke", "long", check=0)
    web.get(archive, "studies", **bearer(long)).expect(401)
    secret = base64.urlsafe_b64decode(long.split("_", 2)[2] + "=")
    for path in archive.data.glob("control.db*"):
        assert secret not in path.read_bytes() and long.encode() not in path.read_bytes()


def test_accounts_are_made_without_a_server_and_no_password_stands_in_the_open(tmp_path):
    archive = Archive(tmp_path)
    add_user(archive, "anna", "viewer", "auditor", organisation="Клиника")
    line, = archive.command("user", "list", check=0).stdout.splitlines()
    assert line.split("\t")[:4] == ["anna", "Клиника", "auditor,viewer", "enabled"]
    for arguments in (["user", "add", "bert", "--role", "king"], ["user", "add", "a:b", "--role", "viewer"],
                      ["user", "add", "anna", "--role", "viewer"]):
        assert archive.command(*arguments, "--password-file", tmp_path / "password").returncode not in (0, USAGE)
    assert archive.command("user", "add", "bert").returncode == USAGE
    assert archive.command("user", "add", "bert", "--role", "viewer", "--password", PASSWORD).returncode == USAGE
    (tmp_path / "short").write_text("elevenchars\n")
    assert "12" in archive.command("user", "add", "bert", "--role", "viewer", "--password-file", tmp_path / "short").stderr
    for path in archive.data.glob("control.db*"):
        assert PASSWORD.encode() not in path.read_bytes()
    assert b"$argon2id$" in b"".join(path.read_bytes() for path in archive.data.glob("control.db*"))
    archive.start()
    try:
        web.get(archive, "/whoami").expect(401)
        who = json.loads(web.get(archive, "/whoami", **basic("anna")).body)
        assert who == {"kind": "user", "name": "anna", "organisation": "Клиника",
                       "permissions": ["query", "retrieve", "audit"]}
        assert not any(PASSWORD in line for line in archive.log)
        archive.close()
    finally:
        archive.kill()


# Guessing

def test_an_unknown_name_takes_as_long_as_a_wrong_password(archive):
    for name in ("anna", "bert"):
        add_user(archive, name, "viewer")
    times = {True: [], False: []}
    for _ in range(4):
        for name in ("anna", "nobody", "bert", "noone"):
            begun = time.perf_counter()
            web.get(archive, "studies", **basic(name, "wrong horse battery")).expect(401)
            times[name in ("anna", "bert")].append(time.perf_counter() - begun)
    known, unknown = statistics.median(times[True]), statistics.median(times[False])
    print(f"known {known * 1000:.0f} ms, unknown {unknown * 1000:.0f} ms")
    # Without the same work for both it would be a hundredth.
    assert 0.5 < known / unknown < 2, times
    assert not any("nobody" in line or "noone" in line for line in archive.log), "an unknown name stands in the log"


def test_guessing_is_slowed_and_nobody_else_is(archive):
    for name in ("anna", "bert"):
        add_user(archive, name, "viewer")
    web.get(archive, "studies", **basic("anna")).expect(204)
    statuses = [web.get(archive, "studies", **basic("anna", f"wrong horse {n}")).status for n in range(12)]
    assert statuses[:5] == [401] * 5 and 429 in statuses, statuses
    while (reply := web.get(archive, "studies", **basic("anna", "wrong again"))).status != 429:
        pass
    assert 1 <= int(reply["Retry-After"]) <= 60
    # The right password, remembered, and others are not held up.
    web.get(archive, "studies", **basic("anna")).expect(204)
    web.get(archive, "studies", **basic("bert")).expect(204)
    while (failed := sign_in(archive, "anna", "wrong once more")).status != 429:
        failed.expect(403)
    assert "Too many" in failed.body.decode() and failed["Retry-After"]
    assert sign_in(archive, "bert", "wrong horse").status == 403


def test_basic_costs_its_computation_once(archive):
    add_user(archive, "anna", "viewer")

    def cpu(count):
        def ticks():
            fields = open(f"/proc/{archive.server_pid()}/stat").read().rsplit(")", 1)[1].split()
            return int(fields[11]) + int(fields[12])
        before = ticks()
        for _ in range(count):
            web.get(archive, "studies", **basic("anna")).expect(204)
        return (ticks() - before) / os.sysconf("SC_CLK_TCK")

    first, further = cpu(1), cpu(100)
    print(f"the first request {first:.3f} s of processor, a hundred further ones {further:.3f} s")
    assert first >= 0.03, "Argon2id with so little work is none"
    assert further < 5 * first


# Proxies

def test_forwarded_fields_of_strangers_say_nothing(closed):
    said = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "evil.example", "X-Forwarded-For": "203.0.113.7"}
    reply = web.get(closed, web.path_of(closed.instance, "metadata"), accept=web.JSON,
                    **{k.replace("-", "_"): v for k, v in said.items()}, **closed.keeper)
    assert b"evil.example" not in reply.body and b"https://" not in reply.body
    assert "Secure" not in sign_in(closed, "viewer", headers=said)["Set-Cookie"]
    since = len(closed.log)
    web.get(closed, "studies", X_Forwarded_For="203.0.113.7", **basic("viewer", "wrong horse battery")).expect(401)
    assert 'address="127.0.0.1"' in closed.wait_for_log("sign-in refused", since=since)


def test_a_declared_proxy_is_believed_as_far_as_it_goes(new_archive):
    archive = new_archive(http={"proxies": ["127.0.0.1"]})
    add_user(archive, "anna", "viewer")
    add_user(archive, "bert", "administrator")
    instance = ct(92)
    store_all(archive, [instance])
    said = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "archive.example", "X-Forwarded-For": "9.9.9.9, 203.0.113.7"}
    reply = sign_in(archive, "anna", headers={**said, "Origin": "https://archive.example"})
    assert reply.status == 303 and reply["Set-Cookie"].startswith("__Host-snimok=") and "; Secure" in reply["Set-Cookie"]
    reply = web.request(archive, "GET", web.path_of(instance, "metadata"),
                        {"Accept": web.JSON, **said, **basic("bert")})
    reply.expect(200)
    assert b"http://" not in reply.body and b"https://archive.example/dicom-web/" in reply.body
    # What stands left of the proxy's own word the client has made up.
    since = len(archive.log)
    web.request(archive, "GET", "/whoami", {**said, **basic("anna", "wrong horse battery")}).expect(401)
    assert 'address="203.0.113.7"' in archive.wait_for_log("sign-in refused", since=since)
    for number in range(12):
        last = web.request(archive, "GET", "/whoami", {**said, **basic("anna", f"wrong horse {number}")})
    assert last.status in (401, 429)
    elsewhere = {**said, "X-Forwarded-For": "203.0.113.7, 198.51.100.1"}
    web.request(archive, "GET", "/whoami", {**elsewhere, **basic("anna")}).expect(200)
    for odd in ["", ",", "x", "203.0.113.7:1234", "1.2.3.4\t", ", ".join(["1.1.1.1"] * 300)]:
        web.request(archive, "GET", "/whoami", {"X-Forwarded-For": odd, **basic("anna")}).expect(200, 401, 429)


# Malformed credentials

@pytest.mark.parametrize("headers", [
    [("Authorization", "Basic " + base64.b64encode(b"viewer\r\nX-Evil: 1:pass").decode())],
    [("Authorization", "Basic " + base64.b64encode(b"\xff\xfe:x").decode())],
    [("Authorization", "Basic " + base64.b64encode(b"no colon").decode())],
    [("Authorization", "Basic")], [("Authorization", "")], [("Authorization", "Bearer \t")],
    [("Authorization", "Basic " + base64.b64encode(b"a:" + b"x" * 5000).decode())],
    [("Authorization", "Bearer " + "A" * 20000)], [("Authorization", "Bearer " + "." * 10000)],
    [("Cookie", "snimok=" + "A" * 8000)], [("Cookie", "; ; =; snimok")],
])
def test_malformed_credentials_are_refused_and_said_back_nowhere(closed, headers):
    reply = web.request(closed, "GET", "/whoami", headers)
    reply.expect(401)
    assert reply["X-Evil"] is None and len(reply.body) < 1000


def test_two_authorizations_are_none(closed):
    good = basic("viewer")["Authorization"]
    web.request(closed, "GET", "/whoami", [("Authorization", good)]).expect(200)
    web.request(closed, "GET", "/whoami", [("Authorization", good), ("Authorization", good)]).expect(400, 401)


# JSON Web Tokens

def encoded(data):
    return base64.urlsafe_b64encode(data if isinstance(data, bytes) else json.dumps(data).encode()).rstrip(b"=").decode()


def token(sign, algorithm, **claims):
    body = {"iss": "https://id.example", "aud": "snimok", "sub": "anna", "exp": time.time() + 300, "organisation": "default",
            "roles": ["viewer"], **claims}
    signed = f"{encoded({'alg': algorithm})}.{encoded(body)}"
    return f"{signed}.{encoded(sign(signed.encode()))}"


def test_tokens_of_another_authority(new_archive, tmp_path):
    def openssl(*arguments, **more):
        return subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, **more).stdout

    openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", tmp_path / "key.pem")
    public = openssl("pkey", "-in", tmp_path / "key.pem", "-pubout")
    (tmp_path / "public.pem").write_bytes(public)
    archive = new_archive(access={"jwt": {
        "algorithm": "RS256", "keyFile": str(tmp_path / "public.pem"), "issuer": "https://id.example", "audience": "snimok"}})

    def rsa(data):
        return openssl("dgst", "-sha256", "-sign", tmp_path / "key.pem", input=data)

    def shown(text):
        return web.get(archive, "/whoami", **bearer(text)).status

    web.get(archive, "studies").expect(401)
    assert shown(token(rsa, "RS256")) == 200
    assert json.loads(web.get(archive, "/whoami", **bearer(token(rsa, "RS256"))).body)["permissions"] == ["query", "retrieve"]
    assert shown(token(rsa, "RS256", exp=time.time() - 300)) == 401
    assert shown(token(rsa, "RS256", nbf=time.time() + 300)) == 401
    assert shown(token(rsa, "RS256", aud="other")) == 401
    assert shown(token(rsa, "RS256", iss="other")) == 401
    assert shown(token(rsa, "none")) == 401
    assert shown(token(lambda _: b"", "none")) == 401
    assert shown(token(lambda data: hmac.digest(public, data, hashlib.sha256), "HS256")) == 401
    web.get(archive, "/metrics", **bearer(token(rsa, "RS256"))).problem(403)
    web.get(archive, "/metrics", **bearer(token(rsa, "RS256", roles=["administrator"]))).expect(200)


# Other people's clients

def test_dicomweb_client_with_a_password_and_with_a_token(closed):
    address = f"http://127.0.0.1:{closed.http_port}{web.ROOT}"
    for headers in (basic("viewer"), closed.credentials["token query"][0]):
        made = DICOMwebClient(address, headers={**headers, "Connection": "close"})
        assert len(made.search_for_studies()) >= 1
    made = DICOMwebClient(address, headers={**basic("viewer"), "Connection": "close"})
    i = closed.instance
    assert str(made.retrieve_instance(i.study, i.series, i.sop_instance).SOPInstanceUID) == i.sop_instance


# What must not start

@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-keyout", folder / "key.pem", "-out", folder / "cert.pem"], check=True, capture_output=True)
    return {"tlsCertificate": str(folder / "cert.pem"), "tlsKey": str(folder / "key.pem")}


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.parametrize("bind", ["0.0.0.0", "::"])
@pytest.mark.parametrize("account", [None, "user", "token"])
@pytest.mark.parametrize("protection", [None, "tls", "proxy"])
@pytest.mark.parametrize("insecure", [False, True])
def test_an_unsafe_exposure_does_not_start(tmp_path, certificate, bind, account, protection, insecure):
    http = {"bind": bind, **(certificate if protection == "tls" else {}),
            **({"proxies": ["10.0.0.5"]} if protection == "proxy" else {})}
    archive = Archive(tmp_path, configuration(http=http, insecure=insecure))
    if account == "user":
        add_user(archive, "anna", "viewer")
    elif account == "token":
        add_token(archive, "robot", "query")
    starts = bool(account and protection) or insecure
    if starts and bind == "::" and not has_ipv6():
        pytest.skip("this machine has no IPv6")
    archive.launch()
    try:
        if starts:
            assert archive.ready.wait(30), archive.log_text()
            assert any("INSECURE" in line for line in archive.log) == insecure
            return
        assert archive.process.wait(30) == CONFIGURATION
        archive.reader.join(10)
        said = archive.log_text()
        assert ("snimok user add" in said) == (account is None) and f"http.bind is {bind}" in said
        assert ("http.tlsCertificate" in said and "http.proxies" in said) == (account is not None)
    finally:
        archive.kill()


def test_a_session_over_tls_is_for_tls_alone(tmp_path, certificate):
    import http.client
    import ssl
    archive = Archive(tmp_path, configuration(http=certificate))
    add_user(archive, "anna", "viewer")
    archive.start()
    try:
        context = ssl._create_unverified_context()
        connection = http.client.HTTPSConnection("127.0.0.1", archive.http_port, timeout=20, context=context)
        connection.request("POST", "/login", f"name=anna&password={PASSWORD.replace(' ', '+')}",
                           {"Content-Type": "application/x-www-form-urlencoded"})
        reply = connection.getresponse()
        reply.read()
        cookie = reply.getheader("Set-Cookie")
        assert reply.status == 303 and cookie.startswith("__Host-snimok="), cookie
        assert {"Secure", "HttpOnly", "SameSite=Strict", "Path=/"} <= set(cookie.split("; ")) and "Domain" not in cookie
        connection.request("GET", "/whoami", headers={"Cookie": cookie.split(";")[0]})
        assert connection.getresponse().status == 200
        connection.close()
        archive.close()
    finally:
        archive.kill()


@pytest.mark.parametrize("section, sentence", [
    ({"http": {"proxies": ["proxy.example"]}}, "http.proxies"),
    ({"access": {"jwt": {"issuer": "x"}}}, "access.jwt.keyFile"),
    ({"access": {"jwt": {"keyFile": "x", "issuer": "x", "audience": "x", "algorithm": "none"}}}, "access.jwt.algorithm"),
    ({"access": {"jwt": {"keyFile": "x", "algorithm": "RS256"}}}, "access.jwt.issuer"),
    ({"access": {"jwt": {"keyFile": "/nowhere", "issuer": "x", "audience": "x", "algorithm": "RS256"}}}, "/nowhere"),
    ({"access": {"sessionHours": 0}}, "access.sessionHours"),
])
def test_what_is_wrong_with_the_keys_of_access_is_said(tmp_path, section, sentence):
    archive = Archive(tmp_path, configuration(**section))
    archive.launch()
    try:
        assert archive.process.wait(30) == CONFIGURATION
        archive.reader.join(10)
        assert sentence in archive.log_text()
    finally:
        archive.kill()


def trail(archive):
    done = archive.command("audit", "export", with_config=True)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_who_comes_in_or_is_turned_away_is_on_record(new_archive):
    archive = new_archive()
    add_user(archive, "anna", "viewer")
    shown = session(archive, "anna")
    web.get(archive, "/whoami", **basic("anna", "not the password")).expect(401)
    web.get(archive, "/metrics", Cookie=shown["Cookie"]).expect(403)
    form(archive, "/logout", {"csrf": shown["X-CSRF-Token"]}, {"Cookie": shown["Cookie"]}).expect(303)
    entries = trail(archive)

    def of(event, **wanted):
        return [entry for entry in entries if entry["event"] == event
                and all(entry["who"].get(key, entry.get(key)) == value for key, value in wanted.items())]

    assert len(of("login", outcome=0, name="anna", kind="user")) == 1
    # Who is turned away has only said that it is Anna.
    assert len(of("login", outcome=4, name="anna", kind="unknown", address="127.0.0.1")) == 1
    assert len(of("logout", name="anna")) == 1
    assert any("monitor" in entry["detail"] for entry in of("security-alert", alert="access-denied", name="anna"))
    assert any(entry["detail"] == "addUser anna" for entry in of("security-alert", alert="user-attributes"))
    assert "not the password" not in json.dumps(entries)


@pytest.mark.parametrize("field", ["X-Forwarded-For", "Forwarded", "Via", "X-Real-IP", "X-Forwarded-Host"])
def test_what_an_undeclared_proxy_brings_is_not_this_machine(archive, field):
    web.get(archive, "/dicom-web/studies").expect(204)
    reply = web.request(archive, "GET", "/dicom-web/studies", {field: "203.0.113.9"})
    assert "snimok user add" in reply.problem(403)


def test_slow_sign_ins_hold_up_nobody(new_archive):
    archive = new_archive()
    held = []
    try:
        for _ in range(300):
            connection = socket.create_connection(("127.0.0.1", archive.http_port), timeout=20)
            connection.sendall(b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 8000\r\n"
                               b"Content-Type: application/x-www-form-urlencoded\r\n\r\nname=")
            held.append(connection)
        begun = time.monotonic()
        web.get(archive, "/healthz").expect(200)
        assert time.monotonic() - begun < 5
        form(archive, "/login", {"name": "x", "password": "y"}).expect(503)
    finally:
        for connection in held:
            connection.close()
