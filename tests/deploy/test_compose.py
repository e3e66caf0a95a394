"""docker-compose.yml: valid, and in agreement with every file it names. What must agree is derived, not listed."""

from __future__ import annotations

import os
import re
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from redis import AuthenticationError, Redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry

from logops_fast.cli.main import COMMANDS
from logops_fast.config.loader import load
from logops_fast.config.settings import Settings, ship_dir
from tests.deploy.support import COLLECTORS, DEPLOY, ROOT, VARIABLE, compose, filled, read_yaml
from tests.support.ports import free_port
from tests.support.services import require_service

COMPOSE = compose()
WITH = {name: compose(name)["services"] for name in COLLECTORS}
"""All services, by the collector that LOGOPS_COLLECTOR names."""
# The services of the default, and in place of its collector all three under their own names.
SERVICES: dict[str, dict[str, Any]] = {
    **{name: service for name, service in COMPOSE["services"].items() if name != "collector"},
    **{name: services["collector"] for name, services in WITH.items()},
}
OURS = {name for name, service in SERVICES.items() if "build" in service}
PUBLISHED = {"authgw", "grafana", "prometheus", "alertmanager"}
TEXT = "".join((ROOT / path).read_text("utf-8") for path in ("docker-compose.yml", "deploy/compose/collectors.yml"))
DEFAULTS = dict(VARIABLE.findall(TEXT))


def environment(name: str) -> dict[str, str]:
    return {key: filled(str(value)) for key, value in SERVICES[name].get("environment", {}).items()}


def inside(name: str) -> set[int]:
    """The ports on which a service says that it can be reached."""
    service = SERVICES[name]
    published = {int(filled(port).rsplit(":", 1)[1]) for port in service.get("ports", ())}
    return published | {int(port) for port in service.get("expose", ())}


def mounts(name: str) -> Iterator[tuple[str, str, str]]:
    """(source, target, mode) of each volume."""
    for volume in SERVICES[name].get("volumes", ()):
        source, target, *mode = volume.split(":")
        yield source, target, mode[0] if mode else "rw"


@pytest.mark.process
def test_it_is_a_compose_file_by_the_specification() -> None:
    pytest.importorskip("check_jsonschema")
    schema = ["--builtin-schema", "vendor.compose-spec"]
    files = ["docker-compose.yml", "deploy/compose/collectors.yml", "deploy/compose/syslog.yml"]
    command = [sys.executable, "-m", "check_jsonschema", *schema, *files]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_image_is_pinned_and_every_service_restarts_logs_and_is_limited() -> None:
    for name, service in SERVICES.items():
        tag = filled(service["image"]).rpartition(":")[2]
        assert re.match(r"v?\d+\.\d+", tag), f"{name}: {tag}"
        assert service["restart"] in ("unless-stopped", "no"), name
        assert service["logging"]["options"]["max-size"], name
        assert {"cpus", "memory"} <= set(service["deploy"]["resources"]["limits"]), name


def test_what_stays_is_checked_for_health() -> None:
    for name, service in SERVICES.items():
        if service["restart"] != "no" and not {"docs"} & set(service.get("profiles", ())):
            assert service["healthcheck"]["test"][0] == "CMD", name


def test_only_four_are_published_and_on_loopback_alone() -> None:
    published = {name for name, service in SERVICES.items() if service.get("ports")}
    assert {name for name in published if "profiles" not in SERVICES[name]} == PUBLISHED
    assert published - PUBLISHED == {"structurizr"}, "a profile that is asked for by name"
    for name in published:
        assert all(port.startswith("127.0.0.1:") for port in SERVICES[name]["ports"]), name


def test_our_containers_have_no_rights_and_a_read_only_root() -> None:
    assert {"authgw", "ingest", "init", "demo", "ship"} == OURS
    for name in OURS:
        service = SERVICES[name]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert "no-new-privileges:true" in service["security_opt"]


def test_every_mounted_path_exists() -> None:
    for name in SERVICES:
        for source, target, mode in mounts(name):
            if source.startswith("."):
                assert (ROOT / source).exists(), f"{name}: {source}"
                assert mode == "ro", f"{name}: {source} is the repository's"
            else:
                assert source in COMPOSE["volumes"], f"{name}: {source}"
            assert target.startswith("/")
    for secret in COMPOSE["secrets"].values():
        assert (ROOT / filled(secret["file"])).exists()
    used = {source for name in SERVICES for source, _, _ in mounts(name)}
    assert set(COMPOSE["volumes"]) <= used


def test_every_dependency_is_a_service_that_can_be_waited_for() -> None:
    for name, service in SERVICES.items():
        for other, how in service.get("depends_on", {}).items():
            assert other in SERVICES, name
            if how["condition"] == "service_healthy":
                assert "test" in SERVICES[other]["healthcheck"], f"{name} waits for {other}"
            if "profiles" in SERVICES[other] and "profiles" not in service:
                assert how["required"] is False, f"{other} may not be there"


def test_the_settings_of_the_gateways_are_settings() -> None:
    for name in OURS:
        settings = load(None, environment(name)).settings
        assert isinstance(settings, Settings)
        command = SERVICES[name].get("command", [])
        assert "entrypoint" in SERVICES[name] or command[0] in COMMANDS


def test_the_shipper_s_admin_listener_is_where_prometheus_and_the_health_check_look() -> None:
    admin = load(None, environment("ship")).settings.admin
    assert (admin.host, {admin.port}) == ("0.0.0.0", inside("ship"))
    assert SERVICES["ship"]["healthcheck"]["test"][-1] == f"http://127.0.0.1:{admin.port}/readyz"


@pytest.mark.parametrize("name", ["authgw", "ingest"])
def test_a_gateway_listens_where_the_others_look_for_it(name: str) -> None:
    settings = load(None, environment(name)).settings
    listen = getattr(settings, name)
    assert listen.host == "0.0.0.0"
    assert inside(name) == {listen.port, settings.admin.port}
    assert settings.admin.host == "0.0.0.0"
    assert settings.admin.only, "what is published serves no metrics"
    published = {filled(port).rpartition(":")[2] for port in SERVICES[name].get("ports", ())}
    assert str(settings.admin.port) not in published
    assert SERVICES[name]["healthcheck"]["test"][-1] == f"http://127.0.0.1:{settings.admin.port}/readyz"


def test_what_drains_has_the_time_to() -> None:
    for name in ("authgw", "ingest", "ship"):
        grace = float(SERVICES[name]["stop_grace_period"].removesuffix("s"))
        assert load(None, environment(name)).settings.server.drain_timeout < grace


def test_files_that_a_gateway_names_lie_on_volumes() -> None:
    for name in ("authgw", "ingest"):
        settings = load(None, environment(name)).settings
        writable = [target for _, target, mode in mounts(name) if mode == "rw"]
        readable = [target for _, target, _ in mounts(name)]
        assert any(settings.state.dir.startswith(f"{target}/") for target in writable)
        assert any(settings.auth.keys_file.startswith(f"{target}/") for target in readable)
    ingest = load(None, environment("ingest")).settings
    assert ("ingest-data", "/var/lib/logops", "rw") in list(mounts("ingest"))
    assert ingest.sink.dir.startswith("/var/lib/logops/")
    assert ingest.housekeeping.archive_dir.startswith("/var/lib/logops/")


ADDRESS = re.compile(r"(?:https?://|redis://|[\"'\[ ])((?!127\.|0\.)[a-z][a-z-]*):(\d{2,5})\b")


def configurations() -> dict[str, str]:
    """Every file of ours that says where another service is, and compose itself."""
    files = [ROOT / "docker-compose.yml"]
    for name in SERVICES:
        for source, _, _ in mounts(name):
            path = ROOT / source
            if source.startswith("./deploy") and path.exists():
                files += [path] if path.is_file() else list(path.rglob("*.yml"))
    files.append(DEPLOY / "compose" / "collectors.yml")
    return {str(path.relative_to(ROOT)): path.read_text("utf-8") for path in files}


def test_every_address_in_every_file_is_a_service_and_its_port() -> None:
    found = 0
    for path, text in configurations().items():
        for host, port in ADDRESS.findall(filled(text)):
            if host in ("localhost", "logops-fast"):
                continue
            assert host in SERVICES, f"{path}: {host}:{port}"
            assert int(port) in inside(host), f"{path}: {host}:{port}"
            found += 1
    assert found >= 8, "the pattern finds the addresses there are"


def test_prometheus_looks_for_every_service_that_has_metrics() -> None:
    jobs = read_yaml(DEPLOY / "prometheus" / "prometheus.yml")["scrape_configs"]
    for job in jobs:
        for discovery in job.get("dns_sd_configs", ()):
            (name,) = discovery["names"]
            assert discovery["port"] in inside(name), job
            if name in ("authgw", "ingest", "ship"):
                assert discovery["port"] == load(None, environment(name)).settings.admin.port
            # On two common networks DNS would answer twice for each instance.
            common = set(SERVICES[name]["networks"]) & set(SERVICES["prometheus"]["networks"])
            assert common == {"core"}, name
    names = {job["job_name"] for job in jobs}
    others = {"prometheus", "alertmanager", "loki", "grafana", "node"}
    assert {"authgw", "ingest", *COLLECTORS, *others} == names
    # The service is `collector`; each of the three has its own name beside that.
    assert all(SERVICES[name]["networks"]["core"]["aliases"] == [name] for name in COLLECTORS)


def test_who_talks_to_whom_shares_a_network() -> None:
    talks = [("authgw", "ingest"), ("authgw", "redis"), ("demo", "authgw")]
    talks += [(name, "loki") for name in COLLECTORS]
    talks += [
        ("prometheus", "alertmanager"),
        ("grafana", "prometheus"),
        ("grafana", "loki"),
        ("grafana", "alertmanager"),
    ]
    for one, other in talks:
        assert set(SERVICES[one]["networks"]) & set(SERVICES[other]["networks"]), f"{one} and {other}"
    assert COMPOSE["networks"]["core"]["internal"] is True
    assert SERVICES["ingest"]["networks"] == ["core"]


def test_the_environment_file_has_each_variable_with_its_default() -> None:
    example = dict(
        line.split("=", 1)
        for line in (ROOT / ".env.example").read_text("utf-8").splitlines()
        if line and not line.startswith("#")
    )
    assert example == DEFAULTS


def test_no_secret_is_in_the_environment() -> None:
    for name in SERVICES:
        for key, value in environment(name).items():
            if re.search(r"PASSWORD|SECRET|TOKEN|API_KEY", key):
                assert key.endswith("_FILE"), f"{name}: {key}"
                assert value.startswith("/run/")


def test_the_gateway_and_the_server_read_one_password_of_redis() -> None:
    path = load(None, environment("authgw")).settings.state.redis_password_file
    script = SERVICES["redis"]["command"][2]
    check = SERVICES["redis"]["healthcheck"]["test"][3]
    assert f"$$(cat {path})" in script
    assert f"$$(cat {path})" in check
    assert f"--redis-password={path}" in SERVICES["init"]["command"]
    for name, mode in (("init", "rw"), ("authgw", "ro"), ("redis", "ro")):
        assert ("redis-password", path.rpartition("/")[0], mode) in list(mounts(name))


@pytest.mark.service
def test_the_command_of_redis_sets_the_password_and_shows_it_to_no_process_list(tmp_path: Path) -> None:
    """By the real server, which differs from the image's Valkey in its name."""
    (tmp_path / "valkey-server").symlink_to(require_service("redis-server"))
    password = secrets.token_hex(16)
    (tmp_path / "password").write_text(password)
    words = [word.replace("$$", "$") for word in SERVICES["redis"]["command"]]
    words[2] = words[2].replace("/run/redis-password", str(tmp_path))
    port = free_port()
    command = [*words, "--port", str(port), "--bind", "127.0.0.1"]
    environ = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    process = subprocess.Popen(command, cwd=tmp_path, env=environ, stdout=subprocess.DEVNULL)
    try:
        client = Redis(port=port, password=password, retry=Retry(ConstantBackoff(0.1), 300))
        with client:
            assert client.ping()
            assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        with Redis(port=port) as stranger, pytest.raises(AuthenticationError):
            stranger.ping()
        listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
        assert f":{port}" in listed.stdout
        assert password not in listed.stdout
    finally:
        process.terminate()
        process.wait(20)


def test_secret_files_are_those_that_alertmanager_reads() -> None:
    text = (DEPLOY / "alertmanager" / "alertmanager-notify.yml").read_text("utf-8")
    read = set(re.findall(r"/run/secrets/(\w+)", text))
    assert read == set(COMPOSE["secrets"]) == set(SERVICES["alertmanager"]["secrets"])


def test_files_named_on_command_lines_are_mounted() -> None:
    for name, service in SERVICES.items():
        targets = [target for _, target, _ in mounts(name)]
        for word in service.get("command", []):
            for path in re.findall(r"=?(/etc/[\w./-]+)", filled(word)):
                assert any(path == t or path.startswith(f"{t}/") for t in targets), f"{name}: {path}"


def test_the_collectors_read_what_the_gateway_writes() -> None:
    ingest = load(None, environment("ingest")).settings
    for name in ("promtail", "alloy"):
        assert ("ingest-data", "/var/lib/logops", "ro") in list(mounts(name))
        config = next(source for source, target, _ in mounts(name) if target.startswith(f"/etc/{name}/"))
        text = (ROOT / config).read_text("utf-8")
        paths = re.findall(r'__path__"?\s*[:=]\s*"?([^\s",}]+)', text)
        assert paths == [f"{ingest.sink.dir}/*.ndjson", f"{ingest.sink.dir}/rejected/*.ndjson"]
    ship = load(None, environment("ship")).settings
    assert ship.sink.dir == ingest.sink.dir
    assert ship_dir(ship) == ship_dir(ingest), "where housekeeping looks for its positions"
    assert ("ingest-data", "/var/lib/logops", "rw") in list(mounts("ship")), "and where it writes them"
    assert ship.ship.start == "beginning"


def test_one_variable_chooses_one_collector() -> None:
    assert DEFAULTS["LOGOPS_COLLECTOR"] == "promtail"
    assert [name for name, services in WITH.items() if "collector" in services] == list(COLLECTORS)
    for services in WITH.values():
        assert not set(COLLECTORS) & set(services), "by its own name none could be started beside another"
        assert set(services) == set(COMPOSE["services"])
        assert "profiles" not in services["collector"], "or `--profile scale` would end it"
        assert services["collector"]["user"] == "10001:10001"
        assert services["collector"]["depends_on"] == COMPOSE["services"]["collector"]["depends_on"]


def test_the_three_name_the_machine_alike() -> None:
    assert environment("ship")["LOGOPS_SHIP__MACHINE"] == DEFAULTS["LOGOPS_MACHINE"]
    for name in ("promtail", "alloy"):
        assert environment(name) == {"LOGOPS_MACHINE": DEFAULTS["LOGOPS_MACHINE"]}
    assert "-config.expand-env=true" in SERVICES["promtail"]["command"]


def test_housekeeping_waits_for_the_shipper_where_there_is_one() -> None:
    for name, services in WITH.items():
        values = {key: filled(str(value)) for key, value in services["ingest"]["environment"].items()}
        rules = load(None, values).settings.housekeeping
        assert rules.wait_for_shipper is (name == "ship"), "without positions it would keep every file"
        assert (rules.max_total_bytes > 0) is rules.wait_for_shipper


def test_the_profiles_are_those_that_were_asked_for() -> None:
    profiles = {profile for service in SERVICES.values() for profile in service.get("profiles", ())}
    assert profiles == {"demo", "scale", "docs"}
    assert yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))["name"] == "logops"
