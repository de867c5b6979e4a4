"""Training on a cluster that loses a node, a process or its Snakemake ends with the bytes of an undisturbed one."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.harness.project import CONFIG, ROOT, Project
from tests.harness.runs import LOOPBACK, said, start
from tests.harness.slurm import Slurm, wait_until

RECIPE = CONFIG["models"]["baseline"] | {"samples_seen": 1280}
SECONDS = 240


@pytest.fixture(scope="module")
def undisturbed(finished: Project, tmp_path_factory: pytest.TempPathFactory, once: Callable[[str], None]) -> Project:
    """All that the tests train, trained on this machine without a cluster: a pair on two processes of it."""
    once("undisturbed")
    project = finished.copy(tmp_path_factory.mktemp("undisturbed") / "project")
    shutil.rmtree(project.results / "models")
    models = {"single": RECIPE, "pair": RECIPE | {"processes": 2}}
    project.write_config(CONFIG | {"models": models, "training": {"nodes": 2}})
    project.run(target("single"), target("pair"))
    return project


@pytest.fixture
def project(undisturbed: Project, tmp_path: Path) -> Project:
    """The same with nothing trained yet."""
    project = undisturbed.copy(tmp_path / "project")
    shutil.rmtree(project.results / "models")
    shutil.rmtree(project.folder / "logs")
    return project


@pytest.fixture
def begin(slurm: Slurm, project: Project) -> Iterator[Callable[[str], subprocess.Popen]]:
    """Starts training a model on the cluster; a state is saved after every step, so that many come before the end."""
    started = []

    def begin(model: str) -> subprocess.Popen:
        started.append(start(slurm, project, target(model), "--set-resources", "train:state_seconds=0"))
        return started[-1]

    yield begin
    for run in started:
        run.kill()
        run.wait()


@pytest.fixture(autouse=True)
def no_jobs_left(slurm: Slurm, tmp_path: Path) -> Iterator[None]:
    """What a test has submitted in its folders ends with it, in whichever way."""
    yield
    if left := [str(job["id"]) for job in slurm.jobs() if Path(job["workdir"]).is_relative_to(tmp_path)]:
        slurm.run("scancel", *left)
        for job in left:
            slurm.ended(job, 60)


def target(model: str) -> str:
    return f"results/demo/default/models/{model}/a/training.parquet"


def checkpoints(project: Project, model: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (project.results / "models" / model / "a/checkpoints").iterdir()}


def state(project: Project, model: str) -> int:
    """When the state was saved, in nanoseconds; 0 where there is none."""
    files = (project.results / "state" / model / "a").glob("*/state.pt")
    return max((file.stat().st_mtime_ns for file in files), default=0)


def wait_for_state(project: Project, model: str, after: int = 0) -> None:
    wait_until(lambda: state(project, model) > after, SECONDS, "a state is saved")


def training_job(slurm: Slurm, project: Project) -> dict:
    """The only one of the project, as soon as it is there."""

    def look() -> list[dict]:
        return [job for job in slurm.jobs() if job["workdir"] == str(project.folder) and "train" in job["comment"]]

    (job,) = wait_until(look, SECONDS, "training is submitted")
    return job


def require_well_ended(run: subprocess.Popen, project: Project, undisturbed: Project, model: str) -> None:
    """It has gone on from its state, which is no longer there, to the same bytes."""
    assert run.wait(SECONDS) == 0, said(project)
    log = project.folder / "logs" / "demo" / "default" / "train" / f"{model}.a.log"
    assert "continues after step" in log.read_text()
    assert checkpoints(project, model) == checkpoints(undisturbed, model)
    assert not (project.results / "state" / model / "a").exists()


def processes(slurm: Slurm) -> list[psutil.Process]:
    """Those of all jobs on all nodes."""
    found = []
    for node in slurm.names:
        for pid in slurm.processes(node):
            with suppress(psutil.NoSuchProcess):
                found.append(psutil.Process(pid))
    return found


def lives(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def test_a_training_whose_node_crashes_goes_on_on_the_other(slurm, undisturbed, project, begin):
    run = begin("single")
    wait_for_state(project, "single")
    lost = training_job(slurm, project)
    (node,) = lost["nodes"]
    slurm.crash(node)
    try:
        assert slurm.ended(lost["id"], 60)["JobState"] == "NODE_FAIL"
        again = training_job(slurm, project)
        require_well_ended(run, project, undisturbed, "single")
        assert again["id"] != lost["id"]
        assert [slurm.job(again["id"])["NodeList"]] == [name for name in slurm.names if name != node]
    finally:
        slurm.ended(lost["id"], 60)
        slurm.restart(node)


def holders(slurm: Slurm) -> list[psutil.Process]:
    """The processes that have the lock of a state."""
    found = []
    for process in processes(slurm):
        with suppress(psutil.NoSuchProcess):
            if any(Path(file.path).match("state/single/a/lock") for file in process.open_files()):
                found.append(process)
    return found


def test_after_a_killed_snakemake_the_next_ends_its_jobs_and_goes_on(slurm, undisturbed, project, begin, tmp_path):
    run = begin("single")
    wait_for_state(project, "single")
    (trainer,) = holders(slurm)
    # or it might end before another Snakemake has started; Slurm wakes what it cancels
    trainer.suspend()
    left = training_job(slurm, project)["id"]
    run.kill()
    run.wait()
    (tmp_path / "elsewhere").mkdir()
    foreign = slurm.submit("sleep 1000", "--comment=rule_train_wildcards_x", f"--chdir={tmp_path / 'elsewhere'}")
    own = slurm.submit("sleep 1000", f"--chdir={project.folder}")

    project.run("--unlock")
    assert lives(trainer)
    run = begin("single")
    wait_until(lambda: [each for each in holders(slurm) if each != trainer], SECONDS, "training goes on")
    assert len(holders(slurm)) == 1
    old, new = slurm.job(left), slurm.job(training_job(slurm, project)["id"])
    assert (old["JobState"], new["JobState"]) == ("CANCELLED", "RUNNING")
    assert old["EndTime"] <= new["SubmitTime"]
    require_well_ended(run, project, undisturbed, "single")
    assert "1 jobs that an earlier run left on the cluster were cancelled" in said(project)
    assert [slurm.job(job)["JobState"] for job in (foreign, own)] == ["RUNNING", "RUNNING"]


def test_a_pair_on_two_nodes_goes_on_after_one_process_was_killed(slurm, undisturbed, project, begin):
    run = begin("pair")
    wait_for_state(project, "pair")
    job, started = training_job(slurm, project), processes(slurm)
    workers = [process for process in started if "dejavu.training.worker" in process.cmdline()]
    found = {worker.environ()["RANK"]: worker for worker in workers}
    assert job["nodes"] == slurm.names
    assert [found[rank].environ()["SLURMD_NODENAME"] for rank in "01"] == slurm.names
    # the first, since all others then fail, too
    found["0"].kill()
    assert slurm.ended(job["id"], 60)["JobState"] == "FAILED"
    assert not any(map(lives, started))
    require_well_ended(run, project, undisturbed, "pair")
    (told,) = set(re.findall(r"error: train default pair a: .*", said(project)))
    assert "process 1 of 2 ended (Signal 9 (SIGKILL)" in told


# what Slurm does with two nodes, tried with processes that do nothing

LAUNCH = """
import os, sys
from pathlib import Path
from dejavu.errors import InputError
from dejavu.training.distributed import Processes, launch

# as Snakemake does before a job that calls srun itself
for name in [name for name in os.environ if name.startswith("SLURM_") and name != "SLURM_JOB_ID"]:
    del os.environ[name]
folder = Path(sys.argv[1])
try:
    processes = Processes(2, "rank_for_tests", str(folder), nodes=2, gpus_per_node=1)
    launch(processes, folder / "ranks", "train")
except InputError as error:
    (folder / ".error").write_text(str(error))
    (folder / ".error").rename(folder / "error")
"""
RANK = """
import json, os, sys, time

folder, rank = sys.argv[1], os.environ["RANK"]
told = [os.environ[name] for name in ("SLURMD_NODENAME", "WORLD_SIZE", "LOCAL_RANK", "CUDA_VISIBLE_DEVICES")]
with open(f"{folder}/.rank{rank}", "w") as file:
    json.dump(told + [os.getpid()], file)
os.rename(f"{folder}/.rank{rank}", f"{folder}/rank{rank}")
while not os.path.exists(f"{folder}/lost{rank}"):
    time.sleep(0.1)
# as a process ends that has lost its partner
message = "RuntimeError: [gloo/transport/tcp/pair.cc:547] Connection closed by peer"
with open(os.environ["TORCHELASTIC_ERROR_FILE"], "w") as file:
    json.dump({"message": {"message": message, "extraInfo": {"timestamp": str(int(time.time()))}}}, file)
sys.exit(1)
"""


@pytest.fixture
def launcher(tmp_path: Path) -> str:
    """A line of shell that launches two processes, on as many nodes with a GPU each; it needs a job around it."""
    (tmp_path / "rank_for_tests.py").write_text(RANK)
    (tmp_path / "launch_for_tests.py").write_text(LAUNCH)
    environment = LOOPBACK | {"PYTHONPATH": f"{ROOT / 'src'}:{tmp_path}"}
    words = ["env", *(f"{key}={value}" for key, value in environment.items())]
    return " ".join([*words, sys.executable, str(tmp_path / "launch_for_tests.py"), str(tmp_path)])


@pytest.fixture
def launched(slurm: Slurm, tmp_path: Path, launcher: str) -> tuple[int, list[list]]:
    """A job whose two processes run, and what each of them has told; node2's first GPU is another job's."""
    folder = f"--chdir={tmp_path}"
    slurm.submit("sleep 1000", folder, "--gpus-per-node=1", "--nodelist=node2")
    wait_until(lambda: slurm.processes("node2"), 30, "another job has a GPU of node2")
    # the job itself lives on without its launcher
    job = slurm.submit(f"{launcher}; sleep 1000", folder, "--nodes=2", "--gpus-per-node=1", "--output=output")
    told = [tmp_path / "rank0", tmp_path / "rank1"]
    wait_until(lambda: all(file.exists() for file in told), 120, "both processes start")
    return job, [json.loads(file.read_text()) for file in told]


@pytest.mark.parametrize("end", ["its launcher is killed", "it is cancelled"])
def test_each_node_has_its_own_gpu_and_nothing_is_left_when(slurm, launched, end):
    job, told = launched
    assert [variables for *variables, _ in told] == [["node1", "2", "0", "0"], ["node2", "2", "0", "1"]]
    started = [process for process in processes(slurm) if process.cmdline()[0] == sys.executable]
    # a launcher, and on each node torchrun's and its process
    assert len(started) == 5
    if end == "it is cancelled":
        slurm.run("scancel", str(job))
    else:
        (first,) = [process for process in started if "launch_for_tests" in process.cmdline()[1]]
        first.kill()
    wait_until(lambda: not any(map(lives, started)), 30, "all have ended")
    assert (slurm.job(job)["JobState"] == "RUNNING") == (end != "it is cancelled")


def test_a_killed_process_is_named_even_when_the_one_that_lost_it_fails_first(tmp_path, launched):
    _, ((*_, first), (*_, second)) = launched
    (tmp_path / "lost0").touch()
    wait_until(lambda: (tmp_path / "ranks/failures-0.json").exists(), 30, "the first node knows of a failure")
    assert not psutil.pid_exists(first)
    # long enough for srun to end all, if that node did not wait
    time.sleep(5)
    os.kill(second, signal.SIGKILL)
    wait_until(lambda: (tmp_path / "error").exists(), 30, "the launcher ends")
    assert (tmp_path / "error").read_text().startswith("train: process 2 of 2 ended (Signal 9 (SIGKILL)")


def test_a_job_that_lacks_the_nodes_is_told_in_one_sentence(slurm, tmp_path, launcher):
    slurm.ended(slurm.submit(launcher, f"--chdir={tmp_path}", "--gpus-per-node=1", "--output=output"), 60)
    assert (tmp_path / "error").read_text() == (
        "train: srun ended with status 1, and none of its processes reported why: see the log, and run again; "
        "training goes on from its last state."
    )
    assert "srun: error" in (tmp_path / "output").read_text()
