"""The cluster that other tests stand on does what clusters do, and leaves nothing behind."""

from __future__ import annotations

import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.harness.slurm import Slurm, wait_until

OWNER = """
from tests.harness.slurm import Slurm, wait_until
slurm = Slurm(nodes=1)
slurm.start()
slurm.submit("trap '' TERM; setsid sleep 1000 & sleep 1000")
wait_until(lambda: len(slurm.processes("node1")) == 3, 20, "the job starts")
print(slurm.folder, flush=True)
input()
slurm.stop()
"""


def listeners(processes: list[psutil.Process]) -> set[tuple[str, int]]:
    """Addresses and ports where these processes take connections from a network."""
    found = set()
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            sockets = process.net_connections(kind="inet")
            found |= {tuple(each.laddr) for each in sockets if each.status in (psutil.CONN_LISTEN, psutil.CONN_NONE)}
    return found


def below(slurm: Slurm) -> list[psutil.Process]:
    return [p for machine in slurm.machines.values() for p in psutil.Process(machine.pid).children(recursive=True)]


def lives(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def test_a_job_sees_its_gpus_on_each_node(slurm):
    show = "echo $SLURMD_NODENAME $CUDA_VISIBLE_DEVICES"
    output = slurm.run("srun", "--nodes=2", "--ntasks=2", "--gpus-per-node=2", "sh", "-c", show)
    assert sorted(output.splitlines()) == ["node1 0,1", "node2 0,1"]


def test_nothing_listens_beyond_loopback(slurm):
    job = slurm.submit("srun sleep 1000")  # a client listens too
    wait_until(lambda: len(listeners(below(slurm))) > 3, 20, "srun listens, besides slurmctld and two slurmd")
    assert {address for address, _ in listeners(below(slurm))} == {"127.0.0.1"}
    slurm.run("scancel", str(job))
    assert slurm.ended(job)["JobState"] == "CANCELLED"


def test_only_a_job_that_takes_more_memory_than_it_asked_for_is_killed(slurm):
    hold = f'exec {sys.executable} -c "import time; held = bytearray(200 << 20); time.sleep(3)"'
    greedy, modest = (slurm.submit(hold, f"--mem={mib}") for mib in (100, 400))
    killed, kept = slurm.ended(greedy), slurm.ended(modest)
    assert (killed["JobState"], killed["ExitCode"]) == ("FAILED", "0:9")
    assert (kept["JobState"], kept["ExitCode"]) == ("COMPLETED", "0:0")


def test_a_crashed_node_loses_its_jobs_and_can_come_back(slurm):
    lost, other = (
        slurm.submit("setsid sleep 1000 & sleep 1000", "--no-requeue", f"--nodelist={node}") for node in slurm.names
    )
    wait_until(lambda: all(len(slurm.processes(node)) == 3 for node in slurm.names), 20, "both jobs start")
    processes = [psutil.Process(pid) for pid in slurm.processes("node1")]

    slurm.crash("node1")
    assert not any(lives(process) for process in processes)
    assert slurm.ended(lost, 60)["JobState"] == "NODE_FAIL"
    assert [(job["id"], job["state"], job["nodes"]) for job in slurm.jobs()] == [(other, "RUNNING", ["node2"])]

    slurm.restart("node1")
    assert slurm.run("srun", "--nodelist=node1", "sh", "-c", "echo $SLURMD_NODENAME") == "node1\n"
    slurm.run("scancel", str(other))
    assert slurm.ended(other)["JobState"] == "CANCELLED"
    assert slurm.processes("node2") == []


@pytest.mark.parametrize("end", ["stopped", "killed"])
def test_nothing_is_left_when_tests_have(has_slurm, repository, end):
    with subprocess.Popen(
        [sys.executable, "-c", OWNER], cwd=repository, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as owner:
        folder = Path(owner.stdout.readline().strip())
        processes = psutil.Process(owner.pid).children(recursive=True)
        ports = {port for _, port in listeners(processes)}
        assert folder.is_absolute() and folder.is_dir() and len(processes) > 9 and len(ports) == 2
        if end == "killed":
            owner.kill()
        else:
            owner.communicate("\n")

    def left() -> list:
        listening = []
        for port in ports:
            with socket.socket() as client:
                if client.connect_ex(("127.0.0.1", port)) == 0:
                    listening.append(port)
        return [p for p in processes if lives(p)] + [p for p in (folder,) if p.exists()] + listening

    if end == "killed":  # who is dead cannot wait for the rest
        with suppress(TimeoutError):
            wait_until(lambda: not left(), 5, "all is gone")
    assert left() == []
