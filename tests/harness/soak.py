"""Whether runs that are killed at random moments, again and again, end with the rows of one that was not.

One undisturbed run of a tiny configuration is the truth. Then, until the time is over, fresh copies of the project are
run, killed with SIGKILL, unlocked and run again, until they are complete. Killed is one of: the process group of
Snakemake; Snakemake alone, whose job runs on as an orphan beside the next start; one job. Training writes its state
after every step, so that kills come before, after and in the midst of it.

Prints a line for every event and writes results/soak.json after every round. The exit status is 1 when a run differed
or was never complete; such a run's project stays.
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
# the configuration's least is one minute, longer than these trainings last; 0: after every step
OPTIONS = ("--set-resources", "train:state_seconds=0")
MAX_RESTARTS = 30
STUCK_SECONDS = 60 * 60
# how long jobs whose Snakemake was killed may go on after the run is complete
ORPHAN_SECONDS = 60
TEXTS_KEPT = 10

SCRIPT = re.compile(r"\S*/\.snakemake/scripts/[^./\s]+\.(\w+)\.py")
WORKER = "dejavu.training.worker"
CONTINUED = re.compile(r"^\[(train .+)\] continues after step ([\d,]+) ", re.MULTILINE)
REFUSED = re.compile(r"(train \S+ \S+ \S+): another process is training this side")
# an exception that was raised while another was handled repeats this; each part counts
TRACEBACK = re.compile(r"^ *Traceback \(most recent call last\):\n(?:[ \t].*\n|\n)*.*", re.MULTILINE)


def configuration() -> dict:
    """The tests' configuration, with longer trainings, of which those of one model run on two processes."""
    config = copy.deepcopy(CONFIG)
    config["models"]["baseline"]["samples_seen"] = STEPS * config["models"]["baseline"]["batch_size"]
    config["models"]["masked"]["processes"] = 2
    return config


# when, what and whom to kill


@dataclass(frozen=True)
class Kill:
    """One kill: seconds after Snakemake's start, what is killed, and where among the jobs, in [0, 1)."""

    delay: float
    kind: str
    place: float


def plan(seed: int, number: int, mean: float) -> Iterator[Kill]:
    """The kills of a round, one for each start, without end; ``mean`` is the mean of their delays in seconds."""
    rng = random.Random(f"{seed} {number}")
    while True:
        yield Kill(rng.expovariate(1 / mean), rng.choice(KINDS), rng.random())


def job_name(command: list[str]) -> str | None:
    """The script that a process runs, without its ending, ``worker`` for a process of a training, or None."""
    if WORKER in command:
        return "worker"
    found = [match.group(1) for argument in command if (match := SCRIPT.fullmatch(argument))]
    return found[0] if found else None


def jobs_of(pid: int) -> list[tuple[str, psutil.Process]]:
    """The processes under a Snakemake that do the work of jobs, by the time of their start."""
    found = []
    try:
        for process in psutil.Process(pid).children(recursive=True):
            try:
                name = job_name(process.cmdline())
                if name is not None:
                    found.append((process.create_time(), process.pid, name, process))
            except psutil.Error:
                continue
    except psutil.NoSuchProcess:
        return []
    return [(name, process) for _, _, name, process in sorted(found, key=lambda entry: entry[:2])]


def strike(snakemake: subprocess.Popen, kill: Kill) -> str | None:
    """Kills; returns the name of the job that was killed or running, ``none``, or None where all was over before."""
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
    """The processes whose working directory is in a folder."""
    folder = folder.resolve()
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() != psutil.STATUS_ZOMBIE and Path(process.cwd()).is_relative_to(folder):
                found.append(process)
        except psutil.Error:
            continue
    return found


def wait_for(folder: Path, seconds: float) -> None:
    """Waits until no process works in a folder, at most some seconds."""
    deadline = time.monotonic() + seconds
    while processes_in(folder) and time.monotonic() < deadline:
        time.sleep(0.1)


def end(folder: Path) -> int:
    """Ends all processes that work in a folder; returns how many there were."""
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


# what became of it


@dataclass
class Round:
    """What one project went through until it was complete.

    Attributes:
        kills, killed_in: number of kills by what was killed, and by the job that was running.
        restarts: starts after the first; ``beside``: those at which an orphan still ran.
        continued: trainings that went on from a saved state.
        refused: trainers that found another at work.
        orphans: jobs that still ran when a run was complete, and were ended.
        failures: starts that failed though nothing was killed and no trainer was refused.
        complete: whether a start ended well.
        differing: tables and checkpoints that are not those of the truth.
        temporaries, states: what was left under results.
        unexpected: tracebacks, and the last lines of failures.
        folder: where the project is, if it stayed.
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
    """The counts over all rounds, the first unexpected messages, and the rounds themselves, as JSON can hold them."""
    counts: dict = {"rounds": len(rounds), "incomplete": sum(not one.complete for one in rounds)}
    counts["differing"] = sum(bool(one.differing) for one in rounds)
    for name in ("restarts", "beside", "continued", "refused", "orphans", "failures"):
        counts[name] = sum(getattr(one, name) for one in rounds)
    for name in ("temporaries", "states", "unexpected"):
        counts[name] = sum(len(getattr(one, name)) for one in rounds)
    for name in ("kills", "killed_in"):
        total: Counter[str] = sum((getattr(one, name) for one in rounds), Counter())
        counts[name] = dict(total.most_common())
    counts["first_unexpected"] = [text for one in rounds for text in one.unexpected][:TEXTS_KEPT]
    counts["kept"] = [one.folder for one in rounds if one.folder]
    counts["each_round"] = [vars(one) for one in rounds]
    return counts


def tracebacks(text: str) -> list[str]:
    """Every traceback in a text, each once."""
    return list(dict.fromkeys(found.strip() for found in TRACEBACK.findall(text)))


# the soak


class Soak:
    """All rounds, in a folder of their own."""

    def __init__(self, folder: Path, minutes: float, seed: int, cores: int, kills: float) -> None:
        self.folder, self.minutes, self.seed, self.cores, self.kills = folder, minutes, seed, cores, kills
        self.started = time.monotonic()
        self.rounds: list[Round] = []
        (folder / "temporary").mkdir()

    def run(self) -> dict:
        """Makes the truth, plays rounds until the time is over, and returns the summary."""
        self.note(f"seed {self.seed}; an undisturbed run is made in {self.folder}")
        begun = time.monotonic()
        # copied for every run, so that whoever edits the sources meanwhile does not change what is run
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
        """Runs one project to its end, and looks at what it left."""
        one = Round(number)
        project = self.clone.copy(self.folder / f"round-{number}")
        for kill in plan(self.seed, number, mean):
            # where the time is over, what has begun is finished undisturbed
            status, struck, output = self.start(project, kill if self.seconds_left() > 0 else None)
            if struck is not None:
                one.kills[kill.kind] += 1
                one.killed_in[struck] += 1
                self.note(f"round {number}: killed after {kill.delay:.1f} s: {kill.kind}, job {struck}")
            self.read(one, project, status, struck, output)
            if status == 0:
                one.complete = True
                break
            if status is None or one.restarts == MAX_RESTARTS or not self.unlock(one, project):
                break
            one.restarts += 1
            if orphans := processes_in(project.folder):
                one.beside += 1
                self.note(
                    f"round {number}: {len(orphans)} processes of a killed Snakemake run on beside the next start"
                )
        self.settle(one, project)
        if one.complete:
            self.compare(one, project)
        if one.good:
            shutil.rmtree(project.folder)
        else:
            one.folder = str(project.folder)
        self.note(f"round {number}: {self.verdict(one)}")
        return one

    def start(self, project: Project, kill: Kill | None, *arguments: str) -> tuple[int | None, str | None, str]:
        """Starts Snakemake and waits for its end.

        Returns its status, None where it had to be ended; the job that was killed or running, None where nothing was
        killed; and all that it and its jobs have printed.
        """
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        environment["TMPDIR"] = str(self.folder / "temporary")
        command = [sys.executable, "-m", "snakemake", "--cores", str(self.cores), *OPTIONS, *arguments]
        path = self.folder / "output.txt"
        # another file for every start, since orphans go on writing to theirs
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

    def read(self, one: Round, project: Project, status: int | None, struck: str | None, output: str) -> None:
        """Counts what a start has printed, there and in logs, and waits for the other trainer where one was refused."""
        if continued := set(CONTINUED.findall(output)):
            one.continued += len(continued)
            self.note(
                f"round {one.number}: " + "; ".join(f"{title} continued after step {s}" for title, s in continued)
            )
        texts = {f"output of start {one.restarts + 1}": output}
        for log in sorted((project.folder / "logs").rglob("*.log")):
            texts[str(log.relative_to(project.folder))] = log.read_text(errors="replace")
        known = {text.partition("\n")[2] for text in one.unexpected}
        for where, text in texts.items():
            for found in tracebacks(text):
                if found not in known:
                    known.add(found)
                    one.unexpected.append(f"round {one.number}, {where}:\n{found}")
                    self.note(f"round {one.number}: a traceback in {where}: {found.splitlines()[-1]}")
        refused = set(REFUSED.findall(output))
        if refused:
            one.refused += len(refused)
            self.note(f"round {one.number}: refused while an orphan trains: {', '.join(sorted(refused))}")
            wait_for(project.folder, STUCK_SECONDS)
        elif status != 0 and struck is None:
            one.failures += 1
            tail = "\n".join(output.splitlines()[-60:])
            one.unexpected.append(f"round {one.number}, start {one.restarts + 1} failed, status {status}:\n{tail}")
            self.note(f"round {one.number}: start {one.restarts + 1} failed by itself, status {status}")

    def unlock(self, one: Round, project: Project) -> bool:
        """Unlocks the project where a killed Snakemake left it locked; False where that failed."""
        locks = project.folder / ".snakemake" / "locks"
        if not locks.is_dir() or not any(locks.iterdir()):
            return True
        status, _, output = self.start(project, None, "--unlock")
        if status != 0:
            one.failures += 1
            one.unexpected.append(f"round {one.number}, --unlock failed, status {status}:\n{output[-4000:]}")
        return status == 0

    def settle(self, one: Round, project: Project) -> None:
        """Lets orphans end, and ends those that do not."""
        wait_for(project.folder, ORPHAN_SECONDS)
        one.orphans = end(project.folder)

    def compare(self, one: Round, project: Project) -> None:
        """Looks at a complete run: the same rows and checkpoints as the truth, nothing left, nothing to be done."""
        ours, truth = project.results, self.truth.results
        one.differing = differing_tables(truth / "memorization.duckdb", ours / "memorization.duckdb")
        one.differing += differing_checkpoints(truth, ours)
        one.temporaries, one.states = (
            sorted(str(path.relative_to(project.folder)) for path in found)
            for found in ((project.folder / "results").rglob(".*.tmp"), ours.glob("state/*/*"))
        )
        _, _, output = self.start(project, None, "--dry-run")
        if "Nothing to be done" not in output:
            one.differing.append("the plan after the end")
            one.unexpected.append(f"round {one.number}, plan after the end:\n{output[-4000:]}")

    def verdict(self, one: Round) -> str:
        """A round in one line."""
        if not one.complete:
            return f"NEVER COMPLETE after {one.restarts} restarts, kept in {one.folder}"
        left = f"{len(one.temporaries)} temporary files and {len(one.states)} states left"
        if one.differing:
            return f"DIFFERS in {', '.join(one.differing)}; {left}; kept in {one.folder}"
        return f"the same rows after {one.kills.total()} kills; {left}"

    def write(self) -> dict:
        """Writes and returns the summary so far."""
        minutes = (time.monotonic() - self.started) / 60
        counts = {"seed": self.seed, "minutes": round(minutes, 1), **summary(self.rounds)}
        write_json(RESULTS, counts)
        return counts

    def seconds_left(self) -> float:
        """Seconds until the time is over, at least 0."""
        return max(0.0, self.started + 60 * self.minutes - time.monotonic())

    def note(self, text: str) -> None:
        """Says an event, and how much time is left."""
        say(f"[soak] {self.seconds_left() / 60:.1f} min left: {text}")


def main(arguments: list[str]) -> int:
    """Soaks; returns the exit status."""
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60.0, help="starts after it are not killed")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6), help="of the kills; printed")
    parser.add_argument("--cores", type=int, default=1, help="Snakemake's --cores")
    parser.add_argument("--kills", type=float, default=4.0, help="mean number of kills in an undisturbed run's time")
    options = parser.parse_args(arguments)
    # as Ctrl-C, so that all is ended and removed then, too
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
        if all(one.good for one in soak.rounds):
            shutil.rmtree(folder)
    del counts["each_round"]
    print(json.dumps(counts, indent=1))
    return 1 if counts["differing"] or counts["incomplete"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
