"""The TLS side of a listening socket."""

from __future__ import annotations

import ssl


def server_context(cert_file: str, key_file: str, client_ca_file: str = "") -> ssl.SSLContext:
    """Return a server's context: TLS 1.2 or newer, with HTTP/1.1 as the only protocol in ALPN.

    With ``client_ca_file`` every client must present a certificate that this CA signed (mTLS).

    Raises:
        ValueError: a file is missing, unreadable or invalid; the sentence names it.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # Renegotiation lets a client make the server do key exchanges at will; compression leaks secrets (CRIME).
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.set_alpn_protocols(["http/1.1"])
    # OpenSSL's own error for a missing file does not name it, and a key with a pass phrase would prompt on the
    # terminal: both cases are handled before OpenSSL sees the files.
    for name, path in (("certificate", cert_file), ("private key", key_file), ("client CA", client_ca_file)):
        if path or name != "client CA":
            _readable(name, path)
    try:
        context.load_cert_chain(cert_file, key_file, password=_no_password)
    except (ssl.SSLError, ValueError) as error:
        raise ValueError(
            f"the TLS certificate {cert_file} and key {key_file} cannot be used: {_reason(error)}"
        ) from error
    if client_ca_file:
        try:
            context.load_verify_locations(cafile=client_ca_file)
        except ssl.SSLError as error:
            raise ValueError(f"the TLS client CA {client_ca_file} cannot be used: {_reason(error)}") from error
        if not context.get_ca_certs():
            raise ValueError(f"the TLS client CA {client_ca_file} holds no CA certificate")
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _readable(name: str, path: str) -> None:
    try:
        with open(path, "rb"):
            pass
    except OSError as error:
        raise ValueError(f"the TLS {name} file {path!r} cannot be read: {error.strerror}") from error


def _no_password() -> str:
    raise ValueError("the key is protected by a pass phrase, which a service cannot type")


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.lower().replace("_", " ")
    return str(error)
