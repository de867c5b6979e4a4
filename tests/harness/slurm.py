"""A real Slurm on loopback for tests: munged, slurmctld and several slurmd, all as the current user.

This Slurm needs no root, systemd, cgroups or slurmdbd. All its files are in one folder below the system's temporary
folder (pytest's own is too deep: paths of sockets have at most about 100 characters). It listens on free ports. Each
daemon runs below a :mod:`machine <tests.harness.machine>`, a process that leaves nothing behind in whatever way the
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
WHERE = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])  # a user's PATH lacks the daemons
# Slurm requires character devices as GPUs, but never opens them.
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

# Without cgroups, Slurm finds processes by their descent, and polls their memory.
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

# Without accounting, Slurm forgets ended jobs after MinJobAge: keep them for a day.
MinJobAge=86400
OverTimeLimit=0
KillWait=2
# Slurm notices a dead node after about 12 seconds. MessageTimeout contributes more to this time than SlurmdTimeout.
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
    """A daemon ended unexpectedly; the message has the last lines that it wrote."""


def missing() -> list[str]:
    """Return the commands of Slurm and munge that this machine lacks."""
    return [command for command in (*DAEMONS, *CLIENTS) if shutil.which(command, path=WHERE) is None]


def wait_until(condition: Callable[[], T | None], seconds: float, what: str) -> T:
    """Wait for a condition and return its first true value; raise TimeoutError, naming ``what``, when time is up."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {seconds} seconds")
        time.sleep(0.1)
    return value


@dataclass
class Slurm:
    """A cluster with two partitions, ``cpu`` (the default) and ``gpu``; both contain all nodes.

    The CPUs and the memory (MiB) of the nodes may exceed those of this machine. A node has at most five GPUs, which
    jobs see only in CUDA_VISIBLE_DEVICES. Start the cluster from the main thread: it ends with the thread that started
    it.
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
        """Start all daemons and return when all nodes are idle; try three times, since others may take a free port."""
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
        # Without --force, munged refuses a folder that other users cannot enter.
        options = [f"--socket={munge / 'socket'}", f"--key-file={munge / 'key'}", f"--seed-file={munge / 'seed'}"]
        self._launch("munged", "--foreground", "--force", f"--pid-file={munge / 'pid'}", "--num-threads=2", *options)
        self._wait(lambda: (munge / "socket").exists(), "munged")
        self._launch("slurmctld", "-D", "-f", self.config)
        for name in self.names:
            self._launch(name, "-D", "-N", name, "-f", self.config, command="slurmd")
        self._wait(lambda: self._idle() == set(self.names), "nodes come up")

    def stop(self) -> None:
        """Kill all jobs and daemons, and remove the folder; a second call does nothing."""
        for machine in self.machines.values():
            machine.terminate()
        for machine in self.machines.values():
            machine.wait(timeout=30)
        self.machines.clear()
        if hasattr(self, "folder"):
            shutil.rmtree(self.folder, ignore_errors=True)

    # Methods for tests.

    @property
    def config(self) -> str:
        return str(self.folder / "slurm.conf")

    def environment(self) -> dict[str, str]:
        """Return the environment for a subprocess that uses this Slurm, also where tests run in another Slurm's job."""
        foreign = re.compile("SLURM|SBATCH_|SRUN_|SQUEUE_|SCANCEL_|SCONTROL_|SINFO_")
        ours = {key: value for key, value in os.environ.items() if not foreign.match(key)}
        path = os.pathsep.join([str(self.folder / "bin"), os.environ.get("PATH", os.defpath)])
        return ours | {"SLURM_CONF": self.config, "PATH": path}

    def run(self, *command: str, timeout: float = 60) -> str:
        """Run a command and return its standard output; raise RuntimeError if it fails."""
        how: dict = {"stdin": subprocess.DEVNULL, "capture_output": True, "text": True, "check": False}
        done = subprocess.run(command, env=self.environment(), timeout=timeout, **how)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {done.stdout}{done.stderr}")
        return done.stdout

    def submit(self, script: str, *options: str) -> int:
        """Submit a batch job that runs a line of shell, and return its id; options may keep its output."""
        return int(self.run("sbatch", "--parsable", "--output=/dev/null", *options, f"--wrap={script}"))

    def jobs(self) -> list[dict]:
        """Return the queued and running jobs: id (int), state, name, comment, workdir, nodes (names), reason."""
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
        """Return what Slurm knows of a job, running or ended, by Slurm's keys: JobState, ExitCode, NodeList, …"""
        values: dict[str, str] = {}
        for line in self.run("scontrol", "show", "job", str(number)).splitlines():
            # The values of these keys may contain blanks, and have a line of their own.
            alone = re.match(r"\s*(Command|WorkDir|Comment|StdErr|StdIn|StdOut)=(.*?)\s*$", line)
            values.update([(alone[1], alone[2])] if alone else re.findall(r"(\S+?)=(\S*)", line))
        return values

    def ended(self, number: int | str, seconds: float = 30) -> dict[str, str]:
        """Wait until a job has ended, and return what :meth:`job` returns."""

        def look() -> dict[str, str] | None:
            job = self.job(number)
            return None if job["JobState"] in ("PENDING", "RUNNING", "COMPLETING") else job

        return wait_until(look, seconds, f"job {number} ends")

    def processes(self, node: str) -> list[int]:
        """Return the ids of the processes of jobs on a node, without Slurm's own processes."""
        ids = []
        for process in psutil.Process(self.machines[node].pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                if process.name() not in ("slurmd", "slurmstepd"):
                    ids.append(process.pid)
        return ids

    def crash(self, node: str) -> None:
        """Kill a node's slurmd and all its jobs at once, as a power cut would; Slurm notices only later."""
        machine = self.machines.pop(node)
        machine.terminate()
        machine.wait(timeout=30)

    def restart(self, node: str) -> None:
        """Start a crashed node again, and return when it takes jobs.

        Where Slurm has not noticed the crash by now, it never notices that the node's jobs are lost.
        """
        self._launch(node, "-D", "-N", node, "-f", self.config, command="slurmd")
        self._wait(lambda: node in self._idle(), f"{node} comes back")

    # Implementation.

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
                start_new_session=True,  # Ctrl-C reaches pytest alone, which stops the daemons in order
            )

    def _wait(self, condition: Callable[[], object], what: str) -> None:
        """Wait for a condition, at most 30 seconds; raise DaemonEnded when a daemon ends meanwhile."""

        def look() -> object:
            for name, machine in self.machines.items():
                if machine.poll() is not None:
                    log = (self.folder / "log" / f"{name}.err").read_text(errors="replace")
                    raise DaemonEnded(f"{name} ended: {log[-1000:]}")
            return condition()

        wait_until(look, 30, what)

    def _idle(self) -> set[str]:
        """Return the nodes that take jobs; an empty set while the controller does not answer."""
        with suppress(RuntimeError):
            lines = self.run("sinfo", "--noheader", "--Node", "--states=idle,mixed,allocated", "--format=%N %T")
            return {line.split()[0] for line in lines.splitlines() if not line.endswith("*")}  # *: node does not answer
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
        # Without this line, slurmd looks for the mounted version of cgroups, and ends where there is none.
        (self.folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n")

        # Snakemake's jobs drop SLURM_CONF before they call srun, so wrappers of the clients set it again.
        for client in CLIENTS:
            wrapper = self.folder / "bin" / client
            wrapper.write_text(f'#!/bin/sh\nSLURM_CONF={self.config} exec {shutil.which(client, path=WHERE)} "$@"\n')
            wrapper.chmod(0o755)


def free_ports(count: int) -> list[int]:
    """Return ports of loopback on which no process listens now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def node_names(text: str) -> list[str]:
    """Return the names of nodes in Slurm's notation, such as ``node1`` or ``node[1-2,4]``, as a list."""
    prefix, _, inside = text.partition("[")
    if not inside:
        return [text] if text else []
    names = []
    for part in inside.rstrip("]").split(","):
        first, _, last = part.partition("-")
        names += [f"{prefix}{number}" for number in range(int(first), int(last or first) + 1)]
    return names
