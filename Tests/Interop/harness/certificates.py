"""A certificate authority of the test's own, and what it signs, by the openssl command."""
import datetime
import ssl
import subprocess
from pathlib import Path

CONFIGURATION = """
[ca]
default_ca = authority
[authority]
database = {folder}/index.txt
new_certs_dir = {folder}
certificate = {folder}/authority.pem
private_key = {folder}/authority.key
default_md = sha256
policy = any
unique_subject = no
rand_serial = yes
[any]
commonName = supplied
"""
AUTHORITY = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\n"


def openssl(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, stdin=subprocess.DEVNULL)


def moment(days):
    """So many days from now, as openssl reads it."""
    then = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=days)
    return then.strftime("%Y%m%d%H%M%SZ")


class Identity:
    """A certificate and its key, as PEM files."""

    def __init__(self, certificate, key):
        self.certificate, self.key = certificate, key

    @property
    def fingerprint(self):
        said = subprocess.run(["openssl", "x509", "-in", self.certificate, "-noout", "-fingerprint", "-sha256"],
                              check=True, capture_output=True, text=True).stdout
        return said.strip().split("=")[1]


class Authority:
    def __init__(self, folder):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.count = 0
        (self.folder / "index.txt").write_text("")
        self.configuration = self.folder / "openssl.cnf"
        self.configuration.write_text(CONFIGURATION.format(folder=self.folder))
        self.certificate = self.folder / "authority.pem"
        request = self._request("authority", "EC")
        self._sign(request, self.certificate, AUTHORITY, (-30, 400), "-selfsign", "-keyfile", self.folder / "authority.key")

    def issue(self, name, hosts=(), days=(-1, 30), key="EC", usages=("serverAuth", "clientAuth")):
        """A certificate for `name`, good from and to so many days from now; `key` is EC or a number of bits for RSA."""
        self.count += 1
        stem = f"{self.count}-{name}"
        request = self._request(stem, key, name)
        extensions = f"basicConstraints=critical,CA:FALSE\nextendedKeyUsage={','.join(usages)}\n"
        extensions += "authorityKeyIdentifier=keyid\nsubjectKeyIdentifier=hash\nkeyUsage=critical,digitalSignature\n"
        if hosts:
            kinds = [("IP" if host.replace(".", "").isdigit() else "DNS") + ":" + host for host in hosts]
            extensions += f"subjectAltName={','.join(kinds)}\n"
        certificate = self.folder / f"{stem}.pem"
        self._sign(request, certificate, extensions, days)
        return Identity(certificate, self.folder / f"{stem}.key")

    def _request(self, stem, key, name=None):
        kind = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"] if key == "EC" else [
            "-algorithm", "RSA", "-pkeyopt", f"rsa_keygen_bits:{key}"]
        private, request = self.folder / f"{stem}.key", self.folder / f"{stem}.csr"
        openssl("genpkey", *kind, "-out", private)
        private.chmod(0o600)
        openssl("req", "-new", "-key", private, "-subj", f"/CN={name or stem}", "-out", request)
        return request

    def _sign(self, request, certificate, extensions, days, *more):
        file = request.with_suffix(".ext")
        file.write_text(extensions)
        openssl("ca", "-batch", "-config", self.configuration, "-in", request, "-out", certificate, "-notext",
                "-extfile", file, "-startdate", moment(days[0]), "-enddate", moment(days[1]), *more)


def client_context(authority, identity=None, **settings):
    """An `ssl` context that trusts the authority and shows the identity."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(authority.certificate)
    if identity:
        context.load_cert_chain(identity.certificate, identity.key)
    for name, value in settings.items():
        setattr(context, name, value)
    return context


def server_context(authority, identity):
    """One that wants a client's certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_verify_locations(authority.certificate)
    context.load_cert_chain(identity.certificate, identity.key)
    context.verify_mode = ssl.CERT_REQUIRED
    return context
