# SPDX-License-Identifier: Apache-2.0
"""HTTPS by configuration: what is stored over it comes back over it, and nothing is said in the clear."""
import http.client
import socket
import ssl
import subprocess
import time

import pytest

from harness import web
from harness.archive import Archive, configuration
from harness.clients import store_all
from harness.samples import ROOT_UID, ct, tiny


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", folder / "key.pem", "-out", folder / "cert.pem"],
        check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def server(tmp_path_factory, certificate):
    config = configuration(
        http={"tlsCertificate": str(certificate / "cert.pem"), "tlsKey": str(certificate / "key.pem")})
    archive = Archive(tmp_path_factory.mktemp("https"), config)
    archive.start()
    yield archive
    archive.stop()


def connect(archive, certificate, **settings):
    context = ssl.create_default_context(cafile=certificate / "cert.pem")
    for name, value in settings.items():
        setattr(context, name, value)
    return http.client.HTTPSConnection("localhost", archive.http_port, timeout=20, context=context)


def test_what_is_stored_over_https_comes_back_over_it(server, certificate):
    instance = tiny(f"{ROOT_UID}.1800.1.1", f"{ROOT_UID}.1800", f"{ROOT_UID}.1800.1", size=60_000)
    connection = connect(server, certificate)
    connection.request("POST", f"{web.ROOT}/studies", web.part10(instance), {"Content-Type": "application/dicom"})
    answer = connection.getresponse()
    assert answer.status == 200, answer.read()
    answer.read()
    connection.request("GET", web.path_of(instance), headers={"Accept": "application/dicom; transfer-syntax=*"})
    answer = connection.getresponse()
    assert answer.status == 200
    assert answer.read().endswith(instance.data)
    connection.request("GET", web.path_of(instance, "metadata"), headers={"Accept": web.JSON})
    body = connection.getresponse().read()
    assert b'"https://' in body and b'"http://' not in body, "an address in the answer leads out of TLS"


def test_large_frames_come_whole_over_https(server, certificate):
    slices = [ct(1801, 1, number, rows=1024) for number in (1, 2, 3)]
    store_all(server, slices)
    connection = connect(server, certificate)
    for sent in slices * 2:
        connection.request("GET", web.path_of(sent, "frames", 1), headers={"Accept": web.related(web.BYTES)})
        answer = connection.getresponse()
        body = answer.read()
        boundary = answer.headers["Content-Type"].partition("boundary=")[2]
        assert answer.status == 200
        assert body.partition(b"\r\n\r\n")[2] == sent.data[-1024 * 1024 * 2:] + f"\r\n--{boundary}--\r\n".encode()


def test_a_request_in_the_clear_is_not_answered_with_data(server):
    with socket.create_connection(("127.0.0.1", server.http_port), 10) as plain:
        plain.sendall(b"GET /dicom-web/studies HTTP/1.1\r\nHost: localhost\r\n\r\n")
        try:
            said = plain.recv(4096)
        except ConnectionResetError:
            said = b""
    assert not said.startswith(b"HTTP/"), said


def test_old_protocols_are_refused(server, certificate):
    with pytest.raises((ssl.SSLError, ConnectionError)):
        connection = connect(server, certificate, maximum_version=ssl.TLSVersion.TLSv1_1,
                             minimum_version=ssl.TLSVersion.TLSv1)
        connection.request("GET", "/healthz")
        connection.getresponse()


def test_keys_are_not_negotiated_anew(server, certificate):
    """What testssl.sh takes for a danger: libmicrohttpd closes a connection whose client wants to renegotiate."""
    words = ["openssl", "s_client", "-tls1_2", "-quiet", "-CAfile", certificate / "cert.pem", "-connect"]
    with subprocess.Popen([*words, f"localhost:{server.http_port}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL) as client:
        # The same client without renegotiation is answered.
        client.stdin.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        client.stdin.close()
        assert client.stdout.read().startswith(b"HTTP/1.1 200")
    words.remove("-quiet")
    with subprocess.Popen([*words, f"localhost:{server.http_port}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT) as client:
        time.sleep(1)
        client.stdin.write(b"R\n")
        client.stdin.flush()
        time.sleep(1)
        try:
            client.stdin.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            client.stdin.close()
        except BrokenPipeError:
            pass
        said = client.stdout.read()
        assert b"RENEGOTIATING" in said and b"HTTP/1.1" not in said


def test_a_certificate_that_is_not_there_is_told_at_start(tmp_path):
    config = configuration(http={"tlsCertificate": "/nowhere/cert.pem", "tlsKey": "/nowhere/key.pem"})
    archive = Archive(tmp_path, config)
    archive.launch()
    try:
        assert archive.process.wait(20) != 0
        assert "/nowhere/" in archive.log_text(20)
    finally:
        archive.kill()
