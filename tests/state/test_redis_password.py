from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis

from logops_fast.state.redis_password import url_with_password
from tests.support.gateway import running
from tests.support.services import redis_server


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://h:6379/0", "redis://:p%40%3A%2F@h:6379/0"),
        ("rediss://gw@h/1?timeout=2", "rediss://gw:p%40%3A%2F@h/1?timeout=2"),
        ("unix:///run/redis.sock?db=1", "unix://:p%40%3A%2F@/run/redis.sock?db=1"),
    ],
)
def test_the_password_is_put_into_the_url(tmp_path: Path, url: str, expected: str) -> None:
    file = tmp_path / "password"
    file.write_text("p@:/\n")
    assert url_with_password(url, file) == expected


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(lambda text: text[-1] not in "\r\n"))
def test_the_client_library_reads_the_same_password(tmp_path: Path, password: str) -> None:
    file = tmp_path / "password"
    file.write_bytes(password.encode() + b"\r\n")
    url = url_with_password("redis://gw@h:6379/0", file)
    found = Redis.from_url(url).connection_pool.connection_kwargs
    assert (found["username"], found["password"]) == ("gw", password)
    assert unquote(url) == f"redis://gw:{password}@h:6379/0"


def test_what_is_wrong_is_a_sentence_without_a_password(tmp_path: Path) -> None:
    file = tmp_path / "password"
    with pytest.raises(ValueError, match=r"password cannot be read: No such file or directory\.$"):
        url_with_password("redis://h/0", file)
    file.write_text("\n")
    with pytest.raises(ValueError, match="is empty"):
        url_with_password("redis://h/0", file)
    file.write_text("hunter2")
    with pytest.raises(ValueError, match="keep one of them") as caught:
        url_with_password("redis://:hunter3@h/0", file)
    assert "hunter" not in str(caught.value)


@pytest.mark.service
def test_a_server_that_requires_a_password_takes_it(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("s3cr3t@:/\n")
    with redis_server() as server:
        with Redis.from_url(server.url) as client:
            client.config_set("requirepass", "s3cr3t@:/")
        with Redis.from_url(url_with_password(server.url, file)) as client:
            assert client.ping()


@pytest.mark.service
@pytest.mark.process
def test_a_gateway_reads_the_file_of_its_settings(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("s3cr3t-of-redis\n")
    with redis_server() as server:
        with Redis.from_url(server.url) as client:
            client.config_set("requirepass", "s3cr3t-of-redis")
        state = {"backend": "redis", "redis_url": server.url, "redis_password_file": str(file)}
        with running(tmp_path / "gateway", settings={"state": state}) as gateway:
            assert gateway.send(b'[{"msg":"hello"}]').status == 200
