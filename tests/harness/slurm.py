"""A real Slurm on loopback for tests: munged, slurmctld and several slurmd, all as the current user.

Needs no root, systemd, cgroups or slurmdbd. Everything lies in one folder under the system's temporary folder (not
pytest's, since paths of sockets are limited to about 100 characters), and ports are whatever is free. Each daemon
runs below a process of its own, a :mod:`machine <tests.cluster.machine>`, which leaves nothing behind however the
tests end.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from getpass import getuser
from pathlib import Path
from typing import TypeVar

import psutil

T = TypeVar("T")

DAEMONS = ("munged", "slurmctld", "slurmd")
CLIENTS = ("sbatch", "scancel", "scontrol", "sinfo", "squeue", "srun")
WHERE = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])  # daemons are not on a user's path
# Slurm wants character devices as GPUs and never opens them
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")

CONFIG = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser={user}
SlurmdUser={user}
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
AuthInfo=socket={folder}/munge/socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/log/slurmctld.pid
SlurmdPidFile={folder}/log/%n.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/%n.log

# no cgroups: processes are found by descent, memory is polled
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill,NoShared

SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
DefMemPerCPU={memory_per_cpu}
GresTypes=gpu
SlurmdParameters=config_overrides
PropagateResourceLimits=NONE
SchedulerParameters=sched_interval=1,batch_sched_delay=0,sched_min_interval=100000

# ended jobs stay known, as there is no accounting
MinJobAge=86400
OverTimeLimit=0
KillWait=2
# a dead node is noticed after about 12 seconds; the message's limit counts for more than the node's
SlurmdTimeout=5
MessageTimeout=3
ReturnToService=2

{nodes}
PartitionName=cpu Nodes=ALL Default=YES MaxTime=INFINITE DefaultTime=10 State=UP
PartitionName=gpu Nodes=ALL MaxTime=INFINITE DefaultTime=10 State=UP
"""
NODE = (
    "NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs={cpus} RealMemory={memory} Gres=gpu:{gpus}"
)


class DaemonEnded(RuntimeError):
    """A daemon ended that should run; the message holds the last lines it wrote."""


def missing() -> list[str]:
    """The commands of Slurm and munge that this machine lacks."""
    return [command for command in (*DAEMONS, *CLIENTS) if shutil.which(command, path=WHERE) is None]


def wait_until(condition: Callable[[], T | None], seconds: float, what: str) -> T:
    """The first true value of the condition; TimeoutError, which says what was waited for, if there is none."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {seconds} seconds")
        time.sleep(0.1)
    return value


@dataclass
class Slurm:
    """A cluster with two partitions, ``cpu`` (the default) and ``gpu``, that both have all nodes.

    What nodes are said to have may exceed what there is, memory in MiB; there are five GPUs per node at most, which
    jobs only see in CUDA_VISIBLE_DEVICES. Start it from the main thread: it ends with the thread that started it.
    """

    nodes: int = 2
    cpus: int = 8
    memory: int = 16000
    gpus: int = 2
    folder: Path = field(init=False, repr=False)
    machines: dict[str, subprocess.Popen] = field(default_factory=dict, init=False, repr=False)

    @property
    def names(self) -> list[str]:
        return [f"node{number}" for number in range(1, self.nodes + 1)]

    def start(self) -> None:
        """Returns when all nodes are idle. Another process may take a port that was free: then it tries again."""
        for last in (False, False, True):
            try:
                self._start()
                return
            except BaseException as error:
                self.stop()
                if last or not isinstance(error, DaemonEnded):
                    raise

    def _start(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="slurm-"))
        self._write_files()
        munge = self.folder / "munge"
        # forced, because it would rather have a folder that everybody can enter
        options = [f"--socket={munge / 'socket'}", f"--key-file={munge / 'key'}", f"--seed-file={munge / 'seed'}"]
        self._launch("munged", "--foreground", "--force", f"--pid-file={munge / 'pid'}", "--num-threads=2", *options)
        self._wait(lambda: (munge / "socket").exists(), "munged")
        self._launch("slurmctld", "-D", "-f", self.config)
        for name in self.names:
            self._launch(name, "-D", "-N", name, "-f", self.config, command="slurmd")
        self._wait(lambda: self._idle() == set(self.names), "nodes come up")

    def stop(self) -> None:
        """Power off: kills all jobs and daemons and removes the folder. What is stopped may be stopped again."""
        for machine in self.machines.values():
            machine.terminate()
        for machine in self.machines.values():
            machine.wait(timeout=30)
        self.machines.clear()
        if hasattr(self, "folder"):
            shutil.rmtree(self.folder, ignore_errors=True)

    # what a test uses

    @property
    def config(self) -> str:
        return str(self.folder / "slurm.conf")

    def environment(self) -> dict[str, str]:
        """All variables for a subprocess that talks to this Slurm, and to no other that this process may run in."""
        foreign = re.compile("SLURM|SBATCH_|SRUN_|SQUEUE_|SCANCEL_|SCONTROL_|SINFO_")
        ours = {key: value for key, value in os.environ.items() if not foreign.match(key)}
        path = os.pathsep.join([str(self.folder / "bin"), os.environ.get("PATH", os.defpath)])
        return ours | {"SLURM_CONF": self.config, "PATH": path}

    def run(self, *command: str, timeout: float = 60) -> str:
        """What a command writes to standard output; RuntimeError if it fails."""
        how: dict = {"stdin": subprocess.DEVNULL, "capture_output": True, "text": True, "check": False}
        done = subprocess.run(command, env=self.environment(), timeout=timeout, **how)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {done.stdout}{done.stderr}")
        return done.stdout

    def submit(self, script: str, *options: str) -> int:
        """The id of a new batch job that runs a line of shell; its output is thrown away unless options say more."""
        return int(self.run("sbatch", "--parsable", "--output=/dev/null", *options, f"--wrap={script}"))

    def jobs(self) -> list[dict]:
        """What is queued or runs: id (int), state, name, comment, workdir, nodes (a list of names), reason."""
        fields = {
            "id": "%A",
            "state": "%T",
            "name": "%j",
            "comment": "%k",
            "workdir": "%Z",
            "nodes": "%N",
            "reason": "%r",
        }
        output = self.run("squeue", "--all", "--noheader", "--format=" + "\x1f".join(fields.values()), timeout=10)
        jobs: list[dict] = [dict(zip(fields, line.split("\x1f"), strict=True)) for line in output.splitlines()]
        return [job | {"id": int(job["id"]), "nodes": node_names(job["nodes"])} for job in jobs]

    def job(self, number: int | str) -> dict[str, str]:
        """All that Slurm knows of a job, ended ones included, under its names: JobState, ExitCode, NodeList, …"""
        found: dict[str, str] = {}
        for line in self.run("scontrol", "show", "job", str(number)).splitlines():
            alone = re.match(r"\s*(Command|WorkDir|Comment|StdErr|StdIn|StdOut)=(.*?)\s*$", line)  # may hold blanks
            found.update([(alone[1], alone[2])] if alone else re.findall(r"(\S+?)=(\S*)", line))
        return found

    def ended(self, number: int | str, seconds: float = 30) -> dict[str, str]:
        """:meth:`job` once it has ended."""

        def look() -> dict[str, str] | None:
            found = self.job(number)
            return None if found["JobState"] in ("PENDING", "RUNNING", "COMPLETING") else found

        return wait_until(look, seconds, f"job {number} ends")

    def processes(self, node: str) -> list[int]:
        """Processes of jobs on a node, without Slurm's own."""
        found = []
        for process in psutil.Process(self.machines[node].pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                if process.name() not in ("slurmd", "slurmstepd"):
                    found.append(process.pid)
        return found

    def crash(self, node: str) -> None:
        """Power off: slurmd and all of the node's jobs are gone at once, and Slurm has yet to notice."""
        machine = self.machines.pop(node)
        machine.terminate()
        machine.wait(timeout=30)

    def restart(self, node: str) -> None:
        """Returns when the node takes jobs. Jobs lost in a crash that Slurm has not noticed yet, it never notices."""
        self._launch(node, "-D", "-N", node, "-f", self.config, command="slurmd")
        self._wait(lambda: node in self._idle(), f"{node} comes back")

    # how it is done

    def _launch(self, name: str, *options: str, command: str = "") -> None:
        daemon = shutil.which(command or name, path=WHERE) or name
        machine = str(Path(__file__).with_name("machine.py"))
        arguments = [sys.executable, machine, str(os.getpid()), str(self.folder), daemon, *options]
        with open(self.folder / "log" / f"{name}.err", "ab") as log:
            self.machines[name] = subprocess.Popen(
                arguments,
                env=self.environment(),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for pytest, which stops them in order
            )

    def _wait(self, condition: Callable[[], object], what: str) -> None:
        """Waits as long as all daemons run."""

        def look() -> object:
            for name, machine in self.machines.items():
                if machine.poll() is not None:
                    log = (self.folder / "log" / f"{name}.err").read_text(errors="replace")
                    raise DaemonEnded(f"{name} ended: {log[-1000:]}")
            return condition()

        wait_until(look, 30, what)

    def _idle(self) -> set[str]:
        """The nodes that take jobs; none as long as the controller does not answer."""
        with suppress(RuntimeError):
            lines = self.run("sinfo", "--noheader", "--Node", "--states=idle,mixed,allocated", "--format=%N %T")
            return {line.split()[0] for line in lines.splitlines() if not line.endswith("*")}  # * does not answer
        return set()

    def _write_files(self) -> None:
        for name in ("munge", "state", "log", "bin", *(f"spool/{node}" for node in self.names)):
            (self.folder / name).mkdir(parents=True)
        key = self.folder / "munge" / "key"
        key.touch(mode=0o600)
        key.write_bytes(secrets.token_bytes(128))

        host = socket.gethostname().partition(".")[0]
        port, *ports = free_ports(1 + self.nodes)
        have = {"host": host, "cpus": self.cpus, "memory": self.memory, "gpus": self.gpus}
        nodes = [NODE.format(name=name, port=own, **have) for name, own in zip(self.names, ports, strict=True)]
        text = CONFIG.format(
            host=host,
            port=port,
            user=getuser(),
            folder=self.folder,
            memory_per_cpu=self.memory // self.cpus,
            nodes="\n".join(nodes),
        )
        Path(self.config).write_text(text)
        devices = ",".join(DEVICES[: self.gpus])
        gpus = [f"NodeName={name} Name=gpu File={devices}\n" for name in self.names if devices]
        (self.folder / "gres.conf").write_text("".join(gpus))
        # named, or slurmd looks for the mounted version and ends where there is none
        (self.folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n")

        # Snakemake's jobs drop SLURM_CONF before they call srun
        for client in CLIENTS:
            wrapper = self.folder / "bin" / client
            wrapper.write_text(f'#!/bin/sh\nSLURM_CONF={self.config} exec {shutil.which(client, path=WHERE)} "$@"\n')
            wrapper.chmod(0o755)


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody listens on now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def node_names(text: str) -> list[str]:
    """``node1`` or ``node[1-2,4]`` as a list."""
    prefix, _, inside = text.partition("[")
    if not inside:
        return [text] if text else []
    names = []
    for part in inside.rstrip("]").split(","):
        first, _, last = part.partition("-")
        names += [f"{prefix}{number}" for number in range(int(first), int(last or first) + 1)]
    return names
