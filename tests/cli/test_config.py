from __future__ import annotations

import json

import pytest

from tests.cli.conftest import Logops


def test_each_value_is_shown_with_its_source(logops: Logops, monkeypatch: pytest.MonkeyPatch) -> None:
    (logops.folder / "logops.yaml").write_text("sink:\n  dir: here\n")
    monkeypatch.setenv("LOGOPS_RETENTION_DAYS", "3")
    rows = [line.split(maxsplit=2) for line in logops("config").out.splitlines()]
    assert rows[0] == ["setting", "value", "source"]
    assert ["sink.dir", "here", "file logops.yaml:2"] in rows
    assert ["housekeeping.retention_days", "3", "env LOGOPS_RETENTION_DAYS"] in rows
    assert ["sink.durability", "fsync", "default"] in rows
    assert ["tls.cert_file", '""', "default"] in rows
    assert ["forward.base_delay", "0.1", "default"] in rows
    changed = logops("config", "--changed", "--json").out
    assert json.loads(changed) == {
        "sink.dir": {"value": "here", "source": "file logops.yaml:2"},
        "housekeeping.retention_days": {"value": 3, "source": "env LOGOPS_RETENTION_DAYS"},
    }


def test_a_part_may_be_asked_for(logops: Logops) -> None:
    out = json.loads(logops("config", "ratelimit.per_emitter", "--json").out)
    assert list(out) == ["ratelimit.per_emitter.capacity", "ratelimit.per_emitter.refill_per_sec"]
    assert logops("config", "ratelimits") == (
        1,
        "",
        "logops: no setting has the path ratelimits; did you mean ratelimit?\n",
    )


def test_no_secret_is_shown(logops: Logops, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGOPS_STATE__REDIS_URL", "redis://me:hunter2@r/0")
    monkeypatch.setenv("LOGOPS_SECRET_KEY", "hunter3")
    monkeypatch.setenv("LOGOPS_SECRET", "hunter4")
    for argv in (["config"], ["config", "--json"]):
        done = logops(*argv)
        assert "hunter" not in done.out + done.err
    assert "redis://me:***@r/0" in done.out
    assert '"value": "***"' in done.out


def test_warnings_are_shown(logops: Logops) -> None:
    (logops.folder / "logops.yaml").write_text("pii: {mask: false}\n")
    assert logops("config").err == "warning: pii.mask is false: personal data is stored unmasked\n"
