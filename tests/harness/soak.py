"""Soak test: runs that are killed again and again, at random moments, must end with the rows of an undisturbed run.

One undisturbed run of a tiny configuration is the truth. Then, until the time is over, fresh copies of the project are
run, killed with SIGKILL, unlocked and run again, until they are complete. A kill hits the process group of Snakemake,
or Snakemake alone, whose job runs on as an orphan beside the next start, or one job. Training writes its state after
every step, so kills happen before, during and after such a write.

The soak test prints a line for every event, and writes results/soak.json after every round. The exit status is 1 when a
run differed or was never complete; the project of such a run is kept.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import random
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from dejavu.files import write_json
from dejavu.progress import say
from tests.harness.comparison import differing_checkpoints, differing_tables
from tests.harness.project import CONFIG, Project

RESULTS = Path("results") / "soak.json"
KINDS = ("group", "snakemake", "job")
STEPS = 100
# 0: training writes its state after every step. The configuration allows no less than one minute, which is longer than
# these trainings take.
OPTIONS = ("--set-resources", "train:state_seconds=0")
MAX_RESTARTS = 30
STUCK_SECONDS = 60 * 60
# Longest time, in seconds, that orphaned jobs may go on after the run is complete.
ORPHAN_SECONDS = 60
TEXTS_KEPT = 10

SCRIPT = re.compile(r"\S*/\.snakemake/scripts/[^./\s]+\.(\w+)\.py")
WORKER = "dejavu.training.worker"
CONTINUED = re.compile(r"^\[(train .+)\] continues after step ([\d,]+) ", re.MULTILINE)
REFUSED = re.compile(r"(train \S+ \S+ \S+): another process is training this side")
# A chain of exceptions has this header once per exception; each part counts as a traceback.
TRACEBACK = re.compile(r"^ *Traceback \(most recent call last\):\n(?:[ \t].*\n|\n)*.*", re.MULTILINE)


def configuration() -> dict:
    """Return the tests' configuration with longer trainings; one model trains on two processes."""
    config = copy.deepcopy(CONFIG)
    config["models"]["baseline"]["samples_seen"] = STEPS * config["models"]["baseline"]["batch_size"]
    config["models"]["masked"]["processes"] = 2
    return config


# The choice of what to kill, and when.


@dataclass(frozen=True)
class Kill:
    """One kill: delay in seconds after Snakemake's start, kind of target, place among the running jobs in [0, 1)."""

    delay: float
    kind: str
    place: float


def plan(seed: int, number: int, mean: float) -> Iterator[Kill]:
    """Yield endlessly the kills of a round, one for each start; ``mean`` is the mean delay in seconds."""
    rng = random.Random(f"{seed} {number}")
    while True:
        yield Kill(rng.expovariate(1 / mean), rng.choice(KINDS), rng.random())


def job_name(command: list[str]) -> str | None:
    """Return the name of the workflow script that a command runs; ``worker`` for a training process; else None."""
    if WORKER in command:
        return "worker"
    names = [match.group(1) for argument in command if (match := SCRIPT.fullmatch(argument))]
    return names[0] if names else None


def jobs_of(pid: int) -> list[tuple[str, psutil.Process]]:
    """Return the processes of jobs below a Snakemake, each with the job's name, in the order of their start."""
    jobs = []
    try:
        for process in psutil.Process(pid).children(recursive=True):
            try:
                name = job_name(process.cmdline())
                if name is not None:
                    jobs.append((process.create_time(), process.pid, name, process))
            except psutil.Error:
                continue
    except psutil.NoSuchProcess:
        return []
    return [(name, process) for _, _, name, process in sorted(jobs, key=lambda entry: entry[:2])]


def strike(snakemake: subprocess.Popen, kill: Kill) -> str | None:
    """Do a kill, and return the name of the job that was killed or running.

    The name is ``none`` where no job was running. The result is None where Snakemake ended before the kill.
    """
    jobs = jobs_of(snakemake.pid)
    while kill.kind == "job" and not jobs:
        if snakemake.poll() is not None:
            return None
        time.sleep(0.05)
        jobs = jobs_of(snakemake.pid)
    name, job = jobs[int(kill.place * len(jobs))] if jobs else ("none", None)
    try:
        if kill.kind == "group":
            os.killpg(snakemake.pid, signal.SIGKILL)
        elif kill.kind == "snakemake":
            os.kill(snakemake.pid, signal.SIGKILL)
        else:
            job.kill()
    except (ProcessLookupError, psutil.NoSuchProcess):
        return None
    return name


def processes_in(folder: Path) -> list[psutil.Process]:
    """Return the processes whose working directory is in a folder."""
    folder = folder.resolve()
    processes = []
    for process in psutil.process_iter():
        try:
            if process.status() != psutil.STATUS_ZOMBIE and Path(process.cwd()).is_relative_to(folder):
                processes.append(process)
        except psutil.Error:
            continue
    return processes


def wait_for(folder: Path, seconds: float) -> None:
    """Wait, at most ``seconds``, until no process has its working directory in a folder."""
    deadline = time.monotonic() + seconds
    while processes_in(folder) and time.monotonic() < deadline:
        time.sleep(0.1)


def end(folder: Path) -> int:
    """Kill all processes whose working directory is in a folder, and return their number."""
    ended: set[psutil.Process] = set()
    while processes := processes_in(folder):
        for process in processes:
            ended.add(process)
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        time.sleep(0.02)
    return len(ended)


# The outcome of rounds.


@dataclass
class Round:
    """The history of one project from its first start until it was complete.

    Attributes:
        kills, killed_in: number of kills by kind of target, and by the job that was running.
        restarts: number of starts after the first.
        beside: number of restarts while an orphan was still running.
        continued: number of trainings that resumed from a saved state.
        refused: number of trainings that were refused because an orphan trained the same side.
        orphans: number of processes that still ran when the run was complete, and were ended.
        failures: number of starts that failed although nothing was killed and no training was refused.
        complete: whether a start succeeded.
        differing: names of tables and checkpoints that differ from the truth.
        temporaries, states: temporary files and state folders that were left under results/.
        unexpected: tracebacks, and the last lines of failures.
        folder: folder of the project if it was kept, otherwise None.
    """

    number: int
    kills: Counter[str] = field(default_factory=Counter)
    killed_in: Counter[str] = field(default_factory=Counter)
    restarts: int = 0
    beside: int = 0
    continued: int = 0
    refused: int = 0
    orphans: int = 0
    failures: int = 0
    complete: bool = False
    differing: list[str] = field(default_factory=list)
    temporaries: list[str] = field(default_factory=list)
    states: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    folder: str | None = None

    @property
    def good(self) -> bool:
        return self.complete and not self.differing


def summary(rounds: list[Round]) -> dict:
    """Return the counts over all rounds, the first unexpected messages, and the rounds, as values for JSON."""
    counts: dict = {"rounds": len(rounds), "incomplete": sum(not played.complete for played in rounds)}
    counts["differing"] = sum(bool(played.differing) for played in rounds)
    for name in ("restarts", "beside", "continued", "refused", "orphans", "failures"):
        counts[name] = sum(getattr(played, name) for played in rounds)
    for name in ("temporaries", "states", "unexpected"):
        counts[name] = sum(len(getattr(played, name)) for played in rounds)
    for name in ("kills", "killed_in"):
        total: Counter[str] = sum((getattr(played, name) for played in rounds), Counter())
        counts[name] = dict(total.most_common())
    counts["first_unexpected"] = [text for played in rounds for text in played.unexpected][:TEXTS_KEPT]
    counts["kept"] = [played.folder for played in rounds if played.folder]
    counts["each_round"] = [vars(played) for played in rounds]
    return counts


def tracebacks(text: str) -> list[str]:
    """Return the distinct tracebacks in a text."""
    return list(dict.fromkeys(traceback.strip() for traceback in TRACEBACK.findall(text)))


# The soak test.


class Soak:
    """The soak test: all its rounds, in one folder."""

    def __init__(self, folder: Path, minutes: float, seed: int, cores: int, kills: float) -> None:
        self.folder, self.minutes, self.seed, self.cores, self.kills = folder, minutes, seed, cores, kills
        self.started = time.monotonic()
        self.rounds: list[Round] = []
        (folder / "temporary").mkdir()

    def run(self) -> dict:
        """Make the truth, play rounds until the time is over, and return the summary."""
        self.note(f"seed {self.seed}; an undisturbed run is made in {self.folder}")
        begun = time.monotonic()
        # Every run copies this clone, so edits of the sources during the soak test do not change later runs.
        self.clone = Project.make(self.folder / "clone", configuration())
        self.truth = self.clone.copy(self.folder / "truth")
        status, _, output = self.start(self.truth, None)
        if status != 0:
            raise SystemExit(f"the undisturbed run failed:\n{output[-4000:]}")
        seconds = time.monotonic() - begun
        self.note(f"it took {seconds:.0f} s; there is a kill in every {seconds / self.kills:.0f} s on average")
        while self.seconds_left() > 0:
            self.rounds.append(self.play(len(self.rounds) + 1, seconds / self.kills))
            self.write()
        return self.write()

    def play(self, number: int, mean: float) -> Round:
        """Run one project, with kills and restarts, until it is complete, and compare its results with the truth."""
        played = Round(number)
        project = self.clone.copy(self.folder / f"round-{number}")
        for kill in plan(self.seed, number, mean):
            # Once the time is over, the current round finishes without further kills.
            status, struck, output = self.start(project, kill if self.seconds_left() > 0 else None)
            if struck is not None:
                played.kills[kill.kind] += 1
                played.killed_in[struck] += 1
                self.note(f"round {number}: killed after {kill.delay:.1f} s: {kill.kind}, job {struck}")
            self.read(played, project, status, struck, output)
            if status == 0:
                played.complete = True
                break
            if status is None or played.restarts == MAX_RESTARTS or not self.unlock(played, project):
                break
            played.restarts += 1
            if orphans := processes_in(project.folder):
                played.beside += 1
                self.note(
                    f"round {number}: {len(orphans)} processes of a killed Snakemake run on beside the next start"
                )
        self.settle(played, project)
        if played.complete:
            self.compare(played, project)
        if played.good:
            shutil.rmtree(project.folder)
        else:
            played.folder = str(project.folder)
        self.note(f"round {number}: {self.verdict(played)}")
        return played

    def start(self, project: Project, kill: Kill | None, *arguments: str) -> tuple[int | None, str | None, str]:
        """Start Snakemake and wait until it ends.

        Returns:
            The exit status, None where Snakemake was stuck and had to be killed; the job that was killed or running at
            the kill, None without a kill; and the output of Snakemake and its jobs.
        """
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        environment["TMPDIR"] = str(self.folder / "temporary")
        command = [sys.executable, "-m", "snakemake", "--cores", str(self.cores), *OPTIONS, *arguments]
        path = self.folder / "output.txt"
        # Each start needs a new file, because orphans go on writing into the file of their own start.
        path.unlink(missing_ok=True)
        with open(path, "wb") as file:
            process = subprocess.Popen(
                command,
                cwd=project.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        struck, status = None, None
        try:
            if kill is not None:
                try:
                    process.wait(kill.delay)
                except subprocess.TimeoutExpired:
                    struck = strike(process, kill)
            status = process.wait(STUCK_SECONDS)
        except subprocess.TimeoutExpired:
            self.note(f"Snakemake is ended after {STUCK_SECONDS / 60:.0f} min")
            end(project.folder)
            process.wait()
        return status, struck, path.read_text(errors="replace")

    def read(self, played: Round, project: Project, status: int | None, struck: str | None, output: str) -> None:
        """Count the events in a start's output and in the logs; where training was refused, wait for the orphan."""
        if continued := set(CONTINUED.findall(output)):
            played.continued += len(continued)
            self.note(
                f"round {played.number}: " + "; ".join(f"{title} continued after step {s}" for title, s in continued)
            )
        texts = {f"output of start {played.restarts + 1}": output}
        for log in sorted((project.folder / "logs").rglob("*.log")):
            texts[str(log.relative_to(project.folder))] = log.read_text(errors="replace")
        known = {text.partition("\n")[2] for text in played.unexpected}
        for where, text in texts.items():
            for traceback in tracebacks(text):
                if traceback not in known:
                    known.add(traceback)
                    played.unexpected.append(f"round {played.number}, {where}:\n{traceback}")
                    self.note(f"round {played.number}: a traceback in {where}: {traceback.splitlines()[-1]}")
        refused = set(REFUSED.findall(output))
        if refused:
            played.refused += len(refused)
            self.note(f"round {played.number}: refused while an orphan trains: {', '.join(sorted(refused))}")
            wait_for(project.folder, STUCK_SECONDS)
        elif status != 0 and struck is None:
            played.failures += 1
            tail = "\n".join(output.splitlines()[-60:])
            played.unexpected.append(
                f"round {played.number}, start {played.restarts + 1} failed, status {status}:\n{tail}"
            )
            self.note(f"round {played.number}: start {played.restarts + 1} failed by itself, status {status}")

    def unlock(self, played: Round, project: Project) -> bool:
        """Unlock the project if a killed Snakemake left it locked; return False where unlocking failed."""
        locks = project.folder / ".snakemake" / "locks"
        if not locks.is_dir() or not any(locks.iterdir()):
            return True
        status, _, output = self.start(project, None, "--unlock")
        if status != 0:
            played.failures += 1
            played.unexpected.append(f"round {played.number}, --unlock failed, status {status}:\n{output[-4000:]}")
        return status == 0

    def settle(self, played: Round, project: Project) -> None:
        """Wait for orphans to end, and kill those that do not."""
        wait_for(project.folder, ORPHAN_SECONDS)
        played.orphans = end(project.folder)

    def compare(self, played: Round, project: Project) -> None:
        """Compare a complete run with the truth: rows, checkpoints, leftover files, and jobs that are still planned."""
        ours, truth = project.results, self.truth.results
        played.differing = differing_tables(truth / "memorization.duckdb", ours / "memorization.duckdb")
        played.differing += differing_checkpoints(truth, ours)
        played.temporaries, played.states = (
            sorted(str(path.relative_to(project.folder)) for path in leftovers)
            for leftovers in ((project.folder / "results").rglob(".*.tmp"), ours.glob("state/*/*"))
        )
        _, _, output = self.start(project, None, "--dry-run")
        if "Nothing to be done" not in output:
            played.differing.append("the plan after the end")
            played.unexpected.append(f"round {played.number}, plan after the end:\n{output[-4000:]}")

    def verdict(self, played: Round) -> str:
        """Return the outcome of a round in one line."""
        if not played.complete:
            return f"NEVER COMPLETE after {played.restarts} restarts, kept in {played.folder}"
        left = f"{len(played.temporaries)} temporary files and {len(played.states)} states left"
        if played.differing:
            return f"DIFFERS in {', '.join(played.differing)}; {left}; kept in {played.folder}"
        return f"the same rows after {played.kills.total()} kills; {left}"

    def write(self) -> dict:
        """Write and return the summary so far."""
        minutes = (time.monotonic() - self.started) / 60
        counts = {"seed": self.seed, "minutes": round(minutes, 1), **summary(self.rounds)}
        write_json(RESULTS, counts)
        return counts

    def seconds_left(self) -> float:
        """Return the seconds until the time is over, at least 0."""
        return max(0.0, self.started + 60 * self.minutes - time.monotonic())

    def note(self, text: str) -> None:
        """Print an event, with the time that is left."""
        say(f"[soak] {self.seconds_left() / 60:.1f} min left: {text}")


def main(arguments: list[str]) -> int:
    """Run the soak test from the command line, and return the exit status."""
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60.0, help="starts after it are not killed")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6), help="of the kills; printed")
    parser.add_argument("--cores", type=int, default=1, help="Snakemake's --cores")
    parser.add_argument("--kills", type=float, default=4.0, help="mean number of kills in an undisturbed run's time")
    options = parser.parse_args(arguments)
    # SIGTERM must end and remove everything, as Ctrl-C does: raise SystemExit.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    folder = Path(tempfile.mkdtemp(prefix="dejavu-soak-")).resolve()
    soak = Soak(folder, options.minutes, options.seed, options.cores, options.kills)
    try:
        counts = soak.run()
    except KeyboardInterrupt:
        say("[soak] interrupted")
        return 130
    finally:
        end(folder)
        if all(played.good for played in soak.rounds):
            shutil.rmtree(folder)
    del counts["each_round"]
    print(json.dumps(counts, indent=1))
    return 1 if counts["differing"] or counts["incomplete"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
