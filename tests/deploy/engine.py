"""Runs services of docker-compose.yml as processes, as far as that needs no container engine.

Commands, environment, order and health checks are those of the file. What an engine does is done here in
another way: a volume is a folder, a mounted file is a copy in which names of services are addresses of this machine,
and a port of a container is a free port. Rights, networks and images are not tried.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from tests.deploy.support import DEPLOY, ROOT, compose, filled, program, until
from tests.support.gateway import request
from tests.support.ports import free_port

SHARE = "/opt/logops/share"
# Where the images' programs are in Debian, and the option that says where each listens: all share one network here.
PROGRAMS = {
    "prometheus": ("prometheus",),
    "alertmanager": ("prometheus-alertmanager", "alertmanager"),
    "node-exporter": ("prometheus-node-exporter", "node_exporter"),
}
_ADDRESS = re.compile(r"(?<![\w.])([a-z][a-z-]*|127\.0\.0\.1|0\.0\.0\.0):(\d{2,5})\b")


class Engine:
    """The services of the file with one of the collectors; ``folder`` holds what volumes hold."""

    def __init__(self, folder: Path, collector: str) -> None:
        self.folder = folder
        self.services: dict[str, dict[str, Any]] = compose(collector)["services"]
        self._collector = collector
        self._ports: dict[tuple[str, int], int] = {}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._bin = folder / "bin"
        self._bin.mkdir(parents=True)
        for name, arguments in (("python", ""), ("logops", "-m logops_fast ")):
            script = self._bin / name
            script.write_text(f'#!/bin/sh\nexec "{sys.executable}" {arguments}"$@"\n')
            script.chmod(0o755)

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        for name in reversed([*self._processes]):
            process = self._processes[name]
            if process.poll() is None:
                process.kill()
            process.wait(20)

    def port(self, name: str, port: int) -> int:
        """Where a port of a service is on this machine. A collector is known by its own name, too."""
        key = ("collector" if name == self._collector else name), port
        if key not in self._ports:
            self._ports[key] = free_port()
        return self._ports[key]

    def volume(self, name: str) -> Path:
        """The folder in a volume's place."""
        path = self.folder / "volumes" / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    def log(self, name: str) -> str:
        """What a service has written."""
        return (self.folder / f"{name}.log").read_text("utf-8", "replace")

    def up(self, *names: str) -> None:
        """Start services and what they depend on, each when its dependencies are as the file wants them."""
        for name in names:
            if name in self._processes or not self._runs(name):
                continue
            self._up_before(name)
            self._processes[name] = self._start(name, [self._moved(w, name) for w in self._words(name)])

    def run(self, name: str, *command: str) -> int:
        """``docker compose run --rm NAME COMMAND``: the exit code."""
        self._up_before(name)
        words = [*self.services[name].get("entrypoint", ["logops"]), *command]
        return self._start(name, [self._moved(word, name) for word in words]).wait(120)

    def healthy(self, name: str) -> bool:
        """Run a service's health check once; fails if it does not run any more."""
        assert self._processes[name].poll() is None, self.log(name)
        kind, *command = self.services[name]["healthcheck"]["test"]
        assert kind == "CMD"
        if not shutil.which(command[0], path=self._path):
            return True  # Debian has the image's own tool in another package
        words = [self._moved(word, name) for word in command]
        done = subprocess.run(words, env=self._environment(name), capture_output=True, timeout=60, check=False)
        if b"expected command" in done.stderr:  # promtool before 2.45 has no `check ready`
            url = urlsplit(words[-1].removeprefix("--url="))
            return request(url.port or 0, "GET", "/-/ready").status == 200
        return done.returncode == 0

    def stop(self, name: str) -> int:
        """Stop a service by the signal that an engine sends; the exit code."""
        process = self._processes.pop(name)
        process.send_signal(signal.SIGTERM)
        return process.wait(120)

    def _up_before(self, name: str) -> None:
        for other, how in self.services[name].get("depends_on", {}).items():
            if "profiles" not in self.services[other]:
                self.up(other)
                self._wait(other, how["condition"])

    def _runs(self, name: str) -> bool:
        return "build" in self.services[name] or name in PROGRAMS

    def _words(self, name: str) -> list[str]:
        service = self.services[name]
        if "build" in service:
            return [*service.get("entrypoint", ["logops"]), *service["command"]]
        (port,) = self._inside(name)
        listen = f"--web.listen-address=127.0.0.1:{self.port(name, port)}"
        return [program(*PROGRAMS[name]), *service["command"], listen]

    def _wait(self, name: str, condition: str) -> None:
        if not self._runs(name):
            return
        if condition == "service_completed_successfully":
            assert self._processes[name].wait(60) == 0, self.log(name)
        elif condition == "service_healthy":
            until(f"{name} is healthy", lambda: self.healthy(name))

    def _start(self, name: str, words: list[str]) -> subprocess.Popen[bytes]:
        with (self.folder / f"{name}.log").open("ab") as output:
            return subprocess.Popen(
                words, cwd=self.folder, env=self._environment(name), stdout=output, stderr=subprocess.STDOUT
            )

    @property
    def _path(self) -> str:
        return f"{self._bin}:{os.environ['PATH']}"

    def _environment(self, name: str) -> Mapping[str, str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith("LOGOPS_")}
        own = {
            key: str(self.port(name, int(filled(str(value)))))
            if key.endswith("__PORT")
            else self._moved(str(value), name).replace("0.0.0.0", "127.0.0.1")
            for key, value in self.services[name].get("environment", {}).items()
        }
        return {**kept, "LOGOPS_NATIVE": "0", **own, "PATH": self._path, "PYTHONPATH": str(ROOT)}

    def _inside(self, name: str) -> set[int]:
        service = self.services[name]
        published = {int(filled(port).rsplit(":", 1)[1]) for port in service.get("ports", ())}
        return published | {int(port) for port in service.get("expose", ())}

    def _moved(self, text: str, name: str) -> str:
        """A word of the file with this machine's paths and addresses."""
        text = self._addresses(filled(text), name).replace("$$", "$")
        text = text.replace(f"{SHARE}/", f"{DEPLOY / 'compose'}/")
        targets = sorted(self._mounts(name).items(), key=lambda one: -len(one[0]))
        for target, path in targets:
            text = re.sub(rf"(?<![\w/]){re.escape(target)}(?![\w-])", str(path), text)
        return text

    def _addresses(self, text: str, name: str) -> str:
        names = {*self.services, self._collector}

        def address(found: re.Match[str]) -> str:
            host, port = found[1], int(found[2])
            if host in names:
                return f"127.0.0.1:{self.port(host, port)}"
            if (host == "localhost" or host[0].isdigit()) and port in self._inside(name):
                return f"127.0.0.1:{self.port(name, port)}"
            return found[0]

        return _ADDRESS.sub(address, text)

    def _mounts(self, name: str) -> dict[str, Path]:
        mounts = {}
        for mount in self.services[name].get("volumes", ()):
            source, target = mount.split(":")[:2]
            mounts[target] = self._copy(name, ROOT / source) if source.startswith(".") else self.volume(source)
        return mounts

    def _copy(self, name: str, source: Path) -> Path:
        """A mounted file or folder of the repository, with this machine's addresses in it."""
        copy = self.folder / "mounts" / name / source.name
        if not copy.exists():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copytree(source, copy) if source.is_dir() else shutil.copy(source, copy)
            for path in [copy] if copy.is_file() else copy.rglob("*.yml"):
                path.write_text(self._addresses(path.read_text("utf-8"), name), "utf-8")
            if source.name == "prometheus.yml":
                self._resolve(copy)
        return copy

    def _resolve(self, path: Path) -> None:
        """Do what DNS does: a service that runs has an address, another has none and is no target."""
        tree = yaml.safe_load(path.read_text("utf-8"))
        for job in tree["scrape_configs"]:
            targets = [
                f"127.0.0.1:{self.port(name, one['port'])}"
                for one in job.pop("dns_sd_configs", ())
                for name in one["names"]
                if name in self.services or name == self._collector
            ]
            job.setdefault("static_configs", [{"targets": targets}])
        for name in ("scrape_interval", "scrape_timeout", "evaluation_interval"):
            tree["global"][name] = "1s"
        path.write_text(yaml.safe_dump(tree), "utf-8")
