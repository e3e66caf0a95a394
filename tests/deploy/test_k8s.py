from __future__ import annotations

from functools import cache
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from logops_fast.cli.serve import INGEST_ADMIN_PORT
from logops_fast.config.loader import load
from logops_fast.config.sections.listeners import AdminListen
from logops_fast.config.settings import ship_dir
from logops_fast.runtime import shipping
from tests.deploy.support import DEPLOY, program, run, size
from tests.support.yaml_files import read_yaml, read_yaml_documents

BASE = DEPLOY / "k8s" / "base"
KUBERNETES = "1.32"
ADMIN_PORTS = {"authgw": AdminListen().port, "ingest": INGEST_ADMIN_PORT}
KINDS = {"authgw": "Deployment", "ingest": "StatefulSet", "redis": "Deployment"}


@cache
def documents() -> list[dict[str, Any]]:
    """Every object of the base, as it is written."""
    found: list[dict[str, Any]] = []
    for name in read_yaml(BASE / "kustomization.yaml")["resources"]:
        found += read_yaml_documents(BASE / name)
    return found


def of(kind: str) -> dict[str, dict[str, Any]]:
    return {document["metadata"]["name"]: document for document in documents() if document["kind"] == kind}


def workloads() -> dict[str, dict[str, Any]]:
    return {**of("Deployment"), **of("StatefulSet")}


def pods() -> dict[str, dict[str, Any]]:
    return {name: workload["spec"]["template"]["spec"] for name, workload in workloads().items()}


def containers() -> list[tuple[str, dict[str, Any]]]:
    return [
        (name, container)
        for name, pod in pods().items()
        for container in (*pod["containers"], *pod.get("initContainers", ()))
    ]


def sidecar() -> dict[str, Any]:
    """The shipper."""
    (container,) = pods()["ingest"]["initContainers"]
    return dict(container)


def port_of(workload: str, port: int | str) -> int:
    """A port of a pod by number or name, which must be there."""
    ports = {
        key: one["containerPort"]
        for name, container in containers()
        if name == workload
        for one in container.get("ports", ())
        for key in (one["name"], one["containerPort"])
    }
    return int(ports[port])


def test_each_object_is_one_by_the_schema_of_kubernetes() -> None:
    validate = pytest.importorskip("kubernetes_validate").validate
    for document in documents():
        validate(document, KUBERNETES, strict=True)


@pytest.mark.process
def test_kustomize_builds_it() -> None:
    try:
        kubectl = program("kubectl", "kustomize")
    except pytest.fail.Exception:
        pytest.skip("kubectl is not in Debian")
    verb = "kustomize" if kubectl.endswith("kubectl") else "build"
    built = list(yaml.safe_load_all(run(kubectl, verb, BASE)))
    assert {document["kind"] for document in built} >= {"Deployment", "Secret", "ConfigMap", "NetworkPolicy"}
    assert all(document["metadata"].get("namespace", "logops") == "logops" for document in built)


def test_both_gateways_have_all_that_was_asked_for() -> None:
    for name in ("authgw", "ingest"):
        assert name in of(KINDS[name])
        assert name in of("Service")
        assert name in of("PodDisruptionBudget")
        assert name in of("NetworkPolicy")
        scaler = of("HorizontalPodAutoscaler")[name]["spec"]
        assert scaler["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": KINDS[name], "name": name}
        metrics = scaler["metrics"]
        assert [metric["type"] for metric in metrics] == ["Resource", "Pods"]
        assert metrics[1]["pods"]["metric"]["name"] == "logops_inflight"
        assert "replicas" not in workloads()[name]["spec"], "the autoscaler's to say"


def test_pods_have_no_rights() -> None:
    for name, pod in pods().items():
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert pod["automountServiceAccountToken"] is False, name
    for name, container in containers():
        security = container["securityContext"]
        assert security["readOnlyRootFilesystem"] is True, name
        assert security["allowPrivilegeEscalation"] is False, name
        assert security["capabilities"] == {"drop": ["ALL"]}, name
        assert container["resources"]["limits"]["memory"], name


def test_probes_and_ports_agree() -> None:
    for name, container in containers():
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            if "httpGet" in container.get(probe, {}):
                assert port_of(name, container[probe]["httpGet"]["port"])
                if container["name"] in ADMIN_PORTS:
                    assert container[probe]["httpGet"]["port"] == "admin", "answered while every worker is busy"
    for name, port in ADMIN_PORTS.items():
        assert port_of(name, "admin") == port
        annotations = workloads()[name]["spec"]["template"]["metadata"]["annotations"]
        assert annotations["prometheus.io/port"] == str(port)
        for rule in of("NetworkPolicy")[name]["spec"]["ingress"]:
            if {"port": "admin"} in rule["ports"]:
                (peer,) = rule["from"]
                assert peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"] == "monitoring"
    for name, service in of("Service").items():
        if service["spec"].get("type") == "ExternalName":
            continue
        assert service["spec"]["selector"] == workloads()[name]["spec"]["template"]["metadata"]["labels"]
        for port in service["spec"]["ports"]:
            assert port["name"] != "admin", "for the kubelet and Prometheus, which go to the pods"
            assert port_of(name, port["targetPort"]) == port["port"]


def test_the_settings_are_settings_and_agree_with_the_services() -> None:
    settings = load(BASE / "logops.yaml", {}).settings
    assert settings.state.backend == "redis"
    assert settings.authgw.port == port_of("authgw", "http")
    assert settings.ingest.port == port_of("ingest", "http")
    assert settings.forward.url == f"http://ingest:{settings.ingest.port}/v1/logs"
    assert settings.admin.only
    assert settings.admin.host == "0.0.0.0"
    for name in ("authgw", "ingest"):
        (container,) = pods()[name]["containers"]
        environment = {one["name"]: one for one in container["env"]}
        url = f"redis://:$(REDIS_PASSWORD)@redis:{port_of('redis', 'redis')}/0"
        assert environment["LOGOPS_STATE__REDIS_URL"]["value"] == url
        assert environment["REDIS_PASSWORD"]["valueFrom"]["secretKeyRef"]["name"] == "redis-password"
        mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
        for file in (settings.auth.keys_file, settings.sink.dir, settings.state.dir):
            assert any(file.startswith(f"{mount}/") for mount in mounts), file
        drain = container["lifecycle"]["preStop"]["exec"]["command"]
        assert float(drain[1]) + settings.server.drain_timeout < pods()[name]["terminationGracePeriodSeconds"]
        assert {mount["name"] for mount in mounts.values()} <= volumes(name)


def volumes(name: str) -> set[str]:
    claims = workloads()[name]["spec"].get("volumeClaimTemplates", ())
    return {volume["name"] for volume in pods()[name]["volumes"]} | {claim["metadata"]["name"] for claim in claims}


def test_the_shipper_runs_beside_the_ingest_gateway_and_its_state_outlives_the_pod() -> None:
    container, settings = sidecar(), load(BASE / "logops.yaml", {}).settings
    assert container["args"] == [*pods()["ingest"]["containers"][0]["args"][:2], "ship"]
    assert container["restartPolicy"] == "Always"
    assert port_of("ingest", "ship") == shipping.ADMIN_PORT
    assert "readinessProbe" not in container, "while Loki is away the gateway goes on storing"
    assert all(container[probe]["httpGet"]["path"] == "/healthz" for probe in ("startupProbe", "livenessProbe"))
    data = {mount["mountPath"]: mount for mount in container["volumeMounts"]}["/var/lib/logops"]
    assert "readOnly" not in data, "its positions"
    assert str(ship_dir(settings)).startswith("/var/lib/logops/")
    (claim,) = of("StatefulSet")["ingest"]["spec"]["volumeClaimTemplates"]
    assert claim["metadata"]["name"] == data["name"]
    assert settings.ship.start == "beginning"
    assert settings.ship.machine == "", "the pod's name, which a StatefulSet keeps"
    assert settings.housekeeping.wait_for_shipper
    assert settings.housekeeping.max_total_bytes < size(claim["spec"]["resources"]["requests"]["storage"]) * 9 / 10


def test_the_shipper_pushes_to_the_service_and_through_the_network_policy() -> None:
    settings = load(BASE / "logops.yaml", {}).settings
    url = urlsplit(settings.ship.url)
    assert url.hostname in of("Service")
    ports = [
        port["port"]
        for rule in of("NetworkPolicy")["ingest"]["spec"]["egress"]
        for peer in rule["to"]
        if "namespaceSelector" in peer
        for port in rule["ports"]
    ]
    assert ports == [url.port]


def test_network_policies_let_through_what_talks_and_name_ports_that_are_there() -> None:
    policies = of("NetworkPolicy")
    assert policies["default-deny"]["spec"]["policyTypes"] == ["Ingress", "Egress"]
    for name in ("authgw", "ingest", "redis"):
        for rule in policies[name]["spec"]["ingress"]:
            for port in rule["ports"]:
                assert port_of(name, port["port"])
    allowed = {
        (peer["podSelector"]["matchLabels"]["app.kubernetes.io/name"], port["port"])
        for rule in policies["authgw"]["spec"]["egress"]
        for peer in rule["to"]
        for port in rule["ports"]
    }
    assert allowed == {("ingest", port_of("ingest", "http")), ("redis", port_of("redis", "redis"))}


def test_valkey_asks_for_the_password_of_the_secret() -> None:
    (container,) = pods()["redis"]["containers"]
    (variable,) = container["env"]
    assert variable["valueFrom"]["secretKeyRef"] == {"name": "redis-password", "key": "password"}
    args = container["args"]
    assert args[args.index("--requirepass") + 1] == f"$({variable['name']})"


def test_prometheus_in_the_cluster_finds_each_admin_port_under_the_name_that_the_rules_ask_for() -> None:
    jobs = {job["job_name"]: job for job in read_yaml(DEPLOY / "prometheus" / "kubernetes.yml")["scrape_configs"]}
    known = {(container["name"], port["name"]) for _, container in containers() for port in container.get("ports", ())}
    assert set(jobs) == {"authgw", "ingest", "ship"}
    for name, job in jobs.items():
        container, port = job["relabel_configs"][0]["regex"].split(";")
        assert container == name
        assert (container, port) in known
