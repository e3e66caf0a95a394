"""TLS and mutual TLS on the real command."""

from __future__ import annotations

import http.client
import ssl
import time
from pathlib import Path

import pytest

from tests.support.certificates import make_certificates
from tests.support.gateway import KEY, SECRET, Gateway, start
from tests.support.signing import signed

pytestmark = pytest.mark.process

BODY = b'{"msg":"over TLS"}'


def post(gateway: Gateway, context: ssl.SSLContext) -> int:
    connection = http.client.HTTPSConnection("127.0.0.1", gateway.auth_port, context=context, timeout=5)
    try:
        connection.request("POST", "/ingest", BODY, signed(KEY, SECRET, BODY))
        return connection.getresponse().status
    finally:
        connection.close()


def test_a_signed_batch_over_tls_needs_a_client_certificate_where_one_is_asked_for(tmp_path: Path) -> None:
    certificates = make_certificates(tmp_path)
    tls = {"cert_file": "server.pem", "key_file": "server.key", "client_ca_file": "ca.pem"}
    gateway = start(tmp_path, settings={"tls": tls}, wait=False)
    try:
        context = ssl.create_default_context(cafile=str(certificates / "ca.pem"))
        known = ssl.create_default_context(cafile=str(certificates / "ca.pem"))
        known.load_cert_chain(certificates / "client.pem", certificates / "client.key")
        deadline = time.monotonic() + 60
        while True:
            try:
                assert post(gateway, known) == 200
                break
            except ConnectionError:
                assert time.monotonic() < deadline, gateway.output()
                time.sleep(0.05)
        with pytest.raises((ssl.SSLError, ConnectionError, http.client.BadStatusLine)):
            post(gateway, context)
        assert len(gateway.stored()) == 1
    finally:
        assert gateway.stop() == 0


def test_a_bad_certificate_is_one_line_at_the_start(tmp_path: Path) -> None:
    make_certificates(tmp_path)
    gateway = start(tmp_path, settings={"tls": {"cert_file": "server.pem", "key_file": "client.key"}}, wait=False)
    assert gateway.process.wait(20) == 2
    (line,) = gateway.output().strip().splitlines()
    assert "Traceback" not in line
    assert "server.pem" in line or "client.key" in line
