"""Lines of the same shape as those of the sixteen systems of loghub, with the time and level that each brings.

Made up here, from the published formats: https://github.com/logpai/loghub describes the systems.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


class Line(NamedTuple):
    """A line, its time in UTC (None: it has none that is not a guess), and its level (None: it names none)."""

    text: str
    ts: str | None
    level: str | None


def lines(system: str, count: int = 2000, year: int = 2026) -> list[Line]:
    """Return ``count`` lines of a system, the same for the same arguments.

    ``year`` is that of the lines whose dates have none; they lie in its first ten months.
    """
    rng = random.Random(system)
    moment = datetime(year, 1, 3, 4, 5, 6, tzinfo=UTC)
    made = []
    for _ in range(count):
        moment += timedelta(seconds=rng.randrange(1, 12_000), milliseconds=rng.randrange(1000))
        made.append(_SYSTEMS[system](rng, moment))
    return made


def _stamp(moment: datetime, digits: int = 0) -> str:
    text = moment.strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{moment.microsecond:06}"[: 20 + digits] + "Z" if digits else text + "Z"


def _bsd(moment: datetime) -> str:
    return f"{_MONTHS[moment.month - 1]} {moment.day:2} {moment:%H:%M:%S}"


def _millis(moment: datetime) -> str:
    return f"{moment.microsecond // 1000:03}"


def _hex(rng: random.Random, digits: int) -> str:
    return f"{rng.getrandbits(4 * digits):0{digits}x}"


def _android(rng: random.Random, moment: datetime) -> Line:
    letter, level = rng.choice([("V", "TRACE"), ("D", "DEBUG"), ("I", "INFO"), ("W", "WARN"), ("E", "ERROR")])
    text = rng.choice(
        [
            "WindowManager: printFreezingDisplayLogsopening app wtoken = AppWindowToken{9f4ef63 token=Token{a64f992}}",
            'PowerManagerService: acquire lock=233570404, flags=0x1, tag="View Lock", name=com.android.systemui',
            "TextView: visible is system.time.showampm",
            "AudioManager: getStreamVolume no error, streamType is 3",
            "ActivityManager: Start proc 2914:com.example.app/u0a111 for activity: FATAL flag=0",
        ]
    )
    clock = f"{moment:%m-%d %H:%M:%S}.{_millis(moment)}"
    return Line(
        f"{clock} {rng.randrange(1000, 9999):5} {rng.randrange(1000, 29999):5} {letter} {text}",
        _stamp(moment, 3),
        level,
    )


def _apache(rng: random.Random, moment: datetime) -> Line:
    written, level, text = rng.choice(
        [
            ("notice", "INFO", "workerEnv.init() ok /etc/httpd/conf/workers2.properties"),
            ("error", "ERROR", "mod_jk child workerEnv in error state 6"),
            ("notice", "INFO", "jk2_init() Found child 6725 in scoreboard slot 10"),
            ("error", "ERROR", "[client 10.1.9.7] Directory index forbidden by rule: /var/www/html/"),
        ]
    )
    day = f"{_DAYS[moment.weekday()]} {_MONTHS[moment.month - 1]} {moment:%d %H:%M:%S %Y}"
    return Line(f"[{day}] [{written}] {text}", _stamp(moment), level)


def _bgl(rng: random.Random, moment: datetime) -> Line:
    label, facility, written, level, text = rng.choice(
        [
            ("-", "RAS KERNEL", "INFO", "INFO", "instruction cache parity error corrected"),
            ("-", "RAS KERNEL", "INFO", "INFO", "generating core.2275"),
            ("APPREAD", "RAS APP", "FATAL", "FATAL", "ciod: failed to read message prefix on control stream"),
            ("KERNDTLB", "RAS KERNEL", "FATAL", "FATAL", "data TLB error interrupt"),
            ("-", "RAS MMCS", "ERROR", "ERROR", "idoproxydb hit ASSERT condition: ASSERT expression=0"),
            ("-", "RAS DISCOVERY", "WARNING", "WARN", "Node card is not fully functional"),
            ("-", "RAS BGLMASTER", "FAILURE", "", "mmcs_server exited normally with exit code 13"),
            ("-", "RAS DISCOVERY", "SEVERE", "ERROR", "Can not get assembly information for node card"),
        ]
    )
    node = f"R{rng.randrange(64):02}-M{rng.randrange(2)}-N{rng.randrange(16):X}-C:J{rng.randrange(2, 18):02}-U11"
    fine = f"{moment:%Y-%m-%d-%H.%M.%S}.{moment.microsecond:06}"
    line = f"{label} {int(moment.timestamp())} {moment:%Y.%m.%d} {node} {fine} {node} {facility} {written} {text}"
    return Line(line, _stamp(moment), level or None)


def _hadoop(rng: random.Random, moment: datetime) -> Line:
    level = rng.choice(["INFO", "INFO", "WARN", "ERROR", "FATAL"])
    text = rng.choice(
        [
            "[main] org.apache.hadoop.mapreduce.v2.app.MRAppMaster: Created MRAppMaster for application appattempt_1",
            "[AsyncDispatcher event handler] org.apache.hadoop.mapreduce.v2.app.job.impl.TaskImpl: Task Transitioned",
            "[RMCommunicator Allocator] org.apache.hadoop.mapreduce.v2.app.rm.RMContainerAllocator: ERROR CONTACTING",
        ]
    )
    return Line(f"{moment:%Y-%m-%d %H:%M:%S},{_millis(moment)} {level} {text}", _stamp(moment, 3), level)


def _hdfs(rng: random.Random, moment: datetime) -> Line:
    level, text = rng.choice(
        [
            ("INFO", f"dfs.DataNode$PacketResponder: PacketResponder 1 for block blk_{_hex(rng, 16)} terminating"),
            ("INFO", "dfs.FSNamesystem: BLOCK* NameSystem.addStoredBlock: blockMap updated: 10.251.73.220:50010 added"),
            ("WARN", "dfs.DataNode$DataXceiver: 10.251.30.85:50010:Got exception while serving blk_-29181188182496"),
        ]
    )
    return Line(f"{moment:%y%m%d %H%M%S} {rng.randrange(1, 9999)} {level} {text}", None, level)


def _hpc(rng: random.Random, moment: datetime) -> Line:
    text = rng.choice(
        [
            "unix.hw state_change.unavailable {} 1 Component State Change: Component \\042alt0\\042 is unavailable",
            "action start {} 1 boot (command 1951) Error: Timed out. Check hostname and network",
            "boot_cmd new {} 1 Targeting domains:node-{} and nodes:node-2 child of command 2401",
            "gige temperature {} 1 warning",
        ]
    )
    line = f"{rng.randrange(1000, 3_000_000)} node-{rng.randrange(256)} {text}"
    return Line(line.replace("{}", str(int(moment.timestamp())), 1), None, "ERROR" if "Error:" in text else None)


def _healthapp(rng: random.Random, moment: datetime) -> Line:
    text = rng.choice(
        [
            "Step_LSC|30002312|onStandStepChanged 3579",
            "Step_SPUtils|30002312| getTodayTotalDetailSteps = 1514038440000##6993",
        ]
    )
    clock = f"{moment.hour}:{moment.minute}:{moment.second}:{moment.microsecond // 1000}"
    return Line(f"{moment:%Y%m%d}-{clock}|{text}", _stamp(moment, 3), None)


def _linux(rng: random.Random, moment: datetime) -> Line:
    text = rng.choice(
        [
            "sshd(pam_unix)[19939]: authentication failure; logname= uid=0 euid=0 tty=NODEVssh ruser= rhost=10.188.2.4",
            "su(pam_unix)[21416]: session opened for user cyrus by (uid=0)",
            "logrotate: ALERT exited abnormally with [1]",
            "ftpd[24085]: connection from 10.152.8.4 () at Sun Jul 17 23:21:50 2005",
            "kernel: ACPI: Subsystem revision 20040326",
            " -- root[2421]: ROOT LOGIN ON tty2",
        ]
    )
    return Line(f"{_bsd(moment)} combo {text}", _stamp(moment), "FATAL" if "ALERT" in text else None)


def _mac(rng: random.Random, moment: datetime) -> Line:
    text, level = rng.choice(
        [
            (
                "calvisitor-10-105-160-95 kernel[0]: IOThunderboltSwitch<0>(0x0)::listenerCallback - HPD packet",
                None,
            ),
            (
                "authorMacBook-Pro com.apple.xpc.launchd[1] (com.apple.quicklook[4945]): Endpoint has been activated",
                None,
            ),
            ("calvisitor-10-105-160-95 corecaptured[31174]: CCFile::captureLog Received Capture notice id: 1499", None),
            ("--- last message repeated 1 time ---", None),
            ("calvisitor-10-105-162-178 QQ[10018]: [ERROR] FA_NetworkHelper: request failed", "ERROR"),
            ("authorMacBook-Pro networkd[195]:  -[NETClientConnection evaluateCrazyIvan46] no error", None),
        ]
    )
    return Line(f"{_bsd(moment)} {text}", _stamp(moment), level)


def _openssh(rng: random.Random, moment: datetime) -> Line:
    text, level = rng.choice(
        [
            (
                "reverse mapping checking getaddrinfo for host.example.com [10.2.3.4] failed - POSSIBLE BREAK-IN!",
                None,
            ),
            ("Failed password for invalid user webmaster from 10.2.3.4 port 38926 ssh2", None),
            ("pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=10.2.3.4", None),
            (
                "error: Received disconnect from 10.99.0.122: 14: No more user authentication methods available.",
                "ERROR",
            ),
            ("fatal: Write failed: Connection reset by peer [preauth]", "FATAL"),
            ("message repeated 5 times: [ Failed password for root from 10.2.3.4 port 33 ssh2]", None),
        ]
    )
    return Line(f"{_bsd(moment)} LabSZ sshd[{rng.randrange(1000, 32000)}]: {text}", _stamp(moment), level)


def _openstack(rng: random.Random, moment: datetime) -> Line:
    written, level = rng.choice([("INFO", "INFO"), ("INFO", "INFO"), ("WARNING", "WARN"), ("ERROR", "ERROR")])
    text = rng.choice(
        [
            f'nova.osapi_compute.wsgi.server [req-{_hex(rng, 8)}] 10.11.10.1 "GET /v2/{_hex(rng, 32)} HTTP/1.1" 200',
            f"nova.compute.manager [instance: {_hex(rng, 8)}] VM Started (Lifecycle Event)",
        ]
    )
    front = f"nova-api.log.1.{moment:%Y-%m-%d_%H:%M:%S}"  # the archive puts a file's name in front of each line
    return Line(f"{front} {moment:%Y-%m-%d %H:%M:%S}.{_millis(moment)} 25746 {written} {text}", None, level)


def _proxifier(rng: random.Random, moment: datetime) -> Line:
    text = rng.choice(
        [
            "chrome.exe - proxy.example.com:5070 open through proxy proxy.example.com:5070 HTTPS",
            "chrome.exe *64 - clients1.example.com:443 close, 1165 bytes (1.13 KB) sent, 815 bytes received",
            "Dropbox.exe - d.example.com:443 error : Could not connect through proxy",
        ]
    )
    return Line(f"[{moment:%m.%d %H:%M:%S}] {text}", None, None)


def _spark(rng: random.Random, moment: datetime) -> Line:
    written, level = rng.choice([("INFO", "INFO"), ("INFO", "INFO"), ("WARN", "WARN"), ("ERROR", "ERROR")])
    text = rng.choice(
        [
            "executor.CoarseGrainedExecutorBackend: Registered signal handlers for [TERM, HUP, INT]",
            "storage.BlockManager: Found block",
        ]
    )
    return Line(f"{moment:%y/%m/%d %H:%M:%S} {written} {text}", None, level)


def _thunderbird(rng: random.Random, moment: datetime) -> Line:
    node = f"dn{rng.randrange(1000)}"
    label, text, level = rng.choice(
        [
            ("-", f"{node}/{node} crond(pam_unix)[2915]: session closed for user root", None),
            ("-", f"{node}/{node} sshd[18517]: Connection from 10.100.18.1 port 33490", None),
            ("VAPI", f"{node}/{node} kernel: [KERNEL_IB] VAPI fatal path record, no error", None),
            ("-", "src@tbird-admin1 DHCPDISCOVER from 00:11:43:e3:ba:c3 via eth1", None),
        ]
    )
    local = f"{_MONTHS[moment.month - 1]} {moment.day} {moment:%H:%M:%S}"
    line = f"{label} {int(moment.timestamp())} {moment:%Y.%m.%d} {node} {local} {text}"
    return Line(line, _stamp(moment), level)


def _windows(rng: random.Random, moment: datetime) -> Line:
    written, level, text = rng.choice(
        [
            (
                "Info",
                "INFO",
                "CBS    Loaded Servicing Stack v6.1.7601.23505 with Core: C:\\Windows\\winsxs\\amd64\\cbscore.dll",
            ),
            ("Info", "INFO", "CSI    00000001@2016/9/27:20:30:31.455 WcpInitialize (wcp.dll version 0.0.0.6) called"),
            ("Info", "INFO", "CBS    Warning: Unrecognized packageExtended attribute."),
            (
                "Error",
                "ERROR",
                "CBS    Failed to get next element [HRESULT = 0x800f080d - CBS_E_MANIFEST_INVALID_ITEM]",
            ),
        ]
    )
    return Line(f"{moment:%Y-%m-%d %H:%M:%S}, {written:<22}{text}", _stamp(moment), level)


def _zookeeper(rng: random.Random, moment: datetime) -> Line:
    written, level = rng.choice([("INFO ", "INFO"), ("WARN ", "WARN"), ("ERROR", "ERROR")])
    text = rng.choice(
        [
            "[QuorumPeer[myid=1]/0:0:0:0:0:0:0:0:2181:FastLeaderElection@774] - Notification time out: 3200",
            "[WorkerSender[myid=1]:QuorumCnxManager@368] - Cannot open channel to 3 at /10.10.34.13:3888",
            "[CommitProcessor:1:NIOServerCnxn@1001] - Unexpected Exception: ERROR in the text",
        ]
    )
    return Line(f"{moment:%Y-%m-%d %H:%M:%S},{_millis(moment)} - {written} {text}", _stamp(moment, 3), level)


_SYSTEMS: Final[dict[str, Callable[[random.Random, datetime], Line]]] = {
    "Android": _android,
    "Apache": _apache,
    "BGL": _bgl,
    "HDFS": _hdfs,
    "HPC": _hpc,
    "Hadoop": _hadoop,
    "HealthApp": _healthapp,
    "Linux": _linux,
    "Mac": _mac,
    "OpenSSH": _openssh,
    "OpenStack": _openstack,
    "Proxifier": _proxifier,
    "Spark": _spark,
    "Thunderbird": _thunderbird,
    "Windows": _windows,
    "ZooKeeper": _zookeeper,
}

SYSTEMS: Final = tuple(_SYSTEMS)
