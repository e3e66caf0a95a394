"""Which protocol a sender is answered in.

Both gateways make every answer in their own form (contract 2) and know no other. A sender that speaks another protocol
has an encoder on its request, which turns the answer into that protocol's on its way out: successes, refusals, and what
the HTTP layer refuses by itself. Between the gateways answers have their own form, because the forwarder asks for it.
"""

from __future__ import annotations

from typing import Final

from logops_fast.formats import loki_answers, otlp_answers
from logops_fast.formats.answer import OWN_FORM
from logops_fast.formats.media_type import LOKI_PATH, Format
from logops_fast.http.exchange import Encoder, Request

_OWN_FORM: Final = OWN_FORM.encode()
_OTLP_AGENT: Final = b"OTel-OTLP-Exporter"  # OTLP 1.x, "User Agent": every exporter's name begins with it

_BY_MEDIA_TYPE: Final[dict[bytes, Encoder]] = {
    b"application/x-protobuf": otlp_answers.encode_protobuf,
    b"application/protobuf": otlp_answers.encode_protobuf,
}


def encoder_of(request: Request) -> Encoder | None:
    """Return the encoder that a request's head asks for; None for the gateway's own form.

    Under application/json only the body shows that it is OTLP, unless the sender's User-Agent does.
    """
    headers = request.headers
    if wants_own_form(headers):
        return None
    if request.path == LOKI_PATH:
        return loki_answers.encode
    content_type = headers.get(b"content-type", b"")
    encoder = _BY_MEDIA_TYPE.get(content_type)
    if encoder is None and b";" in content_type:
        encoder = _BY_MEDIA_TYPE.get(content_type.partition(b";")[0].strip().lower())
    if encoder is None and headers.get(b"user-agent", b"").startswith(_OTLP_AGENT):
        return otlp_answers.encode_json
    return encoder


def encoder_by_body(request: Request, format: Format) -> Encoder | None:
    """Return the encoder for a body whose format is not that of its type; None for the gateway's own form."""
    if format is Format.OTLP_JSON and not wants_own_form(request.headers):
        return otlp_answers.encode_json
    return request.encoder


def wants_own_form(headers: dict[bytes, bytes]) -> bool:
    """Return whether the sender is a gateway, which encodes the answer itself."""
    return headers.get(b"accept") == _OWN_FORM
