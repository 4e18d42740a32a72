"""Users, tokens and sessions of an archive, and requests that show them."""
import base64
import re
from urllib.parse import urlencode

from harness import web

PASSWORD = "correct horse battery"
ROLES = ["viewer", "uploader", "administrator", "auditor"]
FORM = "application/x-www-form-urlencoded"


def add_user(archive, name, *roles, password=PASSWORD, organisation=None, check=0):
    file = archive.directory / "password"
    file.write_text(password + "\n")
    more = ["--organisation", organisation] if organisation else []
    return archive.command("user", "add", name, "--role", ",".join(roles), "--password-file", file, *more, check=check,
                           with_config=True)


def set_password(archive, name, password):
    file = archive.directory / "password"
    file.write_text(password + "\n")
    archive.command("user", "password", name, "--password-file", file, check=0)


def add_token(archive, name, *permissions, days=None, organisation=None):
    more = ["--days", days] if days else []
    more += ["--organisation", organisation] if organisation else []
    done = archive.command("token", "add", name, "--permissions", ",".join(permissions), *more, check=0, with_config=True)
    return done.stdout.strip()


def basic(name, password=PASSWORD):
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def form(archive, target, fields, headers=None):
    return web.request(archive, "POST", target, {"Content-Type": FORM, **(headers or {})}, urlencode(fields).encode())


def sign_in(archive, name, password=PASSWORD, headers=None, **fields):
    """The answer of the sign-in page's form."""
    return form(archive, "/login", {"name": name, "password": password, **fields}, headers)


def session(archive, name, password=PASSWORD):
    """Headers that show a new session, with its token against forgery."""
    cookie = cookie_of(sign_in(archive, name, password))
    who = web.get(archive, "/whoami", Cookie=cookie)
    who.expect(200)
    return {"Cookie": cookie, "X-CSRF-Token": who.json()["antiForgeryToken"]}


def cookie_of(reply):
    reply.expect(303)
    return re.match(r"[^;]+", reply["Set-Cookie"])[0]
