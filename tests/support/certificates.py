"""Certificates for tests of TLS, created for each run."""

from __future__ import annotations

import datetime
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

HOST = "127.0.0.1"


def make_certificates(folder: Path) -> Path:
    """A CA, a server's and a client's certificate, and a client's of another CA; each with its key, and locked.

    ``expired`` is a server's that was valid until a minute ago.
    """
    now = datetime.datetime.now(datetime.UTC)

    def write(name: str, issuer: str | None) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        keys[name] = key
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer or name)]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(minutes=-1 if name == "expired" else 60))
            .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(keys[issuer or name].public_key()), critical=False
            )
        )
        if issuer is None:
            usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
            builder = builder.add_extension(usage, critical=True)
        else:
            names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address(HOST))]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        certificate = builder.sign(keys[issuer or name], hashes.SHA256())
        (folder / f"{name}.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        for suffix, encryption in (
            ("key", serialization.NoEncryption()),
            ("locked", serialization.BestAvailableEncryption(b"pass")),
        ):
            (folder / f"{name}.{suffix}").write_bytes(
                key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
            )

    keys: dict[str, ec.EllipticCurvePrivateKey] = {}
    for name, issuer in (
        ("ca", None), ("server", "ca"), ("expired", "ca"), ("client", "ca"), ("otherca", None), ("stranger", "otherca")
    ):  # fmt: skip
        write(name, issuer)
    return folder
