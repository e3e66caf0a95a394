"""Pushes of Loki: the generated classes of its own proto, and JSON."""

from __future__ import annotations

import json
import tempfile
from functools import cache
from pathlib import Path
from typing import Any, Final

import grpc_tools
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from grpc_tools import protoc

from logops_fast.formats import snappy_block

PATH: Final = "/loki/api/v1/push"
PROTO: Final = Path(__file__).resolve().parents[1] / "data" / "loki" / "push.proto"


@cache
def push_request() -> Any:
    """Return the class PushRequest, which protoc makes of Loki's definition."""
    common = Path(grpc_tools.__file__).parent / "_proto"
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "push.binpb"
        arguments = [f"-I{PROTO.parent}", f"-I{common}", f"--descriptor_set_out={out}", "--include_imports", PROTO.name]
        assert protoc.main(["protoc", *arguments]) == 0
        files = descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes())
    pool = descriptor_pool.DescriptorPool()
    for file in files.file:
        pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("logproto.PushRequest"))


def protobuf_of(body: bytes) -> bytes:
    """Return a push in JSON, of nothing but what Loki takes, as protobuf."""
    request = push_request()()
    for stream in json.loads(body)["streams"]:
        held = request.streams.add(labels=labels_of(stream["stream"]))
        for time, line, *metadata in stream["values"]:
            entry = held.entries.add(line=line)
            entry.timestamp.seconds, entry.timestamp.nanos = divmod(int(time), 10**9)
            for name, value in (metadata[0] if metadata else {}).items():
                entry.structuredMetadata.add(name=name, value=value)
    return bytes(request.SerializeToString())


def labels_of(labels: dict[str, str]) -> str:
    """Return labels as Go writes them; ASCII and the common escapes are the same in JSON."""
    return "{" + ", ".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in labels.items()) + "}"


def json_push(*streams: tuple[dict[str, str], list[Any]]) -> bytes:
    """Return a push in JSON of labels and values."""
    return json.dumps(
        {"streams": [{"stream": labels, "values": values} for labels, values in streams]}, ensure_ascii=False
    ).encode()


def snappy_push(body: bytes) -> bytes:
    """Return a push in JSON as Promtail would send it."""
    return snappy_block.compress(protobuf_of(body))
