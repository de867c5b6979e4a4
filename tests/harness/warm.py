"""Fast runs of Snakemake: Snakemake and its jobs are forks of two processes that have already imported what they need.

The forks call ``snakemake.cli.main``, as the command does, and Snakemake starts its jobs through the shell as usual.
Only the Python of a job is a fork and not a new process. Tests of processes (killed, on Slurm, or from the command
line) do not use this module.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import runpy
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import NoReturn

SOURCES = Path(__file__).resolve().parents[2] / "src"


@cache
def _server() -> tuple[subprocess.Popen[str], str]:
    """Return the process that forks runs of Snakemake, and the path of the socket of the process that forks jobs."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    server = subprocess.Popen(
        [sys.executable, __file__], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert server.stdout
    return server, server.stdout.readline().strip()


def snakemake(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Snakemake in a folder, and return its status and output."""
    server, _ = _server()
    assert server.stdin and server.stdout
    with tempfile.TemporaryDirectory() as made:
        streams = [Path(made, name) for name in ("stdout", "stderr")]
        print(json.dumps([str(folder), arguments, *map(str, streams)]), file=server.stdin, flush=True)
        status = int(server.stdout.readline())
        stdout, stderr = (stream.read_text(encoding="utf-8", errors="replace") for stream in streams)
    return subprocess.CompletedProcess(["snakemake", *arguments], status, stdout, stderr)


def start(folder: Path, *arguments: str, log: Path, environment: dict[str, str]) -> subprocess.Popen[str]:
    """Start a separate Snakemake in a folder and return without waiting; its output is appended to ``log``."""
    command = [sys.executable, __file__, _server()[1], *arguments]
    # The output goes to a file: a pipe that nobody reads would fill and block Snakemake.
    with open(log, "a") as file:
        return subprocess.Popen(
            command, cwd=folder, env=os.environ | environment, stdout=file, stderr=file, text=True, process_group=0
        )


def _serve() -> None:
    """Fork Snakemake for every line of standard input; end when standard input closes, as when the tests are killed."""
    jobs = _start_jobs()
    print(jobs, flush=True)
    _import_for_snakemake(jobs)
    _leave_to_forks()
    for line in sys.stdin:
        folder, arguments, *streams = json.loads(line)
        child = os.fork()
        if not child:
            os.setsid()
            os.chdir(folder)
            os.environ["PWD"] = folder
            for number, path in enumerate(streams, start=1):
                os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), number)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            _snakemake(arguments)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def _snakemake(arguments: list[str]) -> NoReturn:
    sys.argv = ["snakemake", *arguments]
    sys.modules["snakemake.cli"].main()
    os._exit(0)


def _import_for_snakemake(jobs: str) -> None:
    """Import Snakemake, and let the process behind a socket run its jobs."""
    # Import what the Snakefile and every run of Snakemake import, but not `dejavu`: every project has its own copy.
    sys.path.pop(0)
    import jsonschema  # noqa: F401
    import PIL.Image  # noqa: F401
    import pyarrow.parquet  # noqa: F401
    import smart_open  # noqa: F401
    import snakemake.cli
    import snakemake.report.html_reporter
    import snakemake.script

    def execute(script: snakemake.script.PythonScript, fname: str, edit: bool = False) -> None:
        client = f"{sys.executable} -I -S {Path(__file__).with_name('ask.py')} {jobs}"
        script._execute_cmd("{client} {fname:q}", client=client, fname=fname, is_python_script=True)

    snakemake.script.PythonScript.execute_script = execute


def _start_jobs() -> str:
    """Start the process that forks jobs, and return the path of its socket; the process ends with this one."""
    path = str(Path(tempfile.mkdtemp(prefix="warm-"), "jobs"))
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(path)
    listening.listen(64)
    ours, theirs = os.pipe()
    if os.fork():
        os.close(ours)
        listening.close()
        return path
    os.close(theirs)
    # A session of its own: a signal to the group of a job must not reach other processes.
    os.setsid()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    _import_for_jobs()
    _leave_to_forks()
    _attend(listening, ours)


def _leave_to_forks() -> None:
    """Let no fork look for garbage among what was imported before, which would copy all of it."""
    gc.collect()
    gc.freeze()


def _attend(listening: socket.socket, parent: int) -> NoReturn:
    """Run the jobs of all clients and send them their status; kill the job of a client that is gone.

    Args:
        listening: the socket of the clients.
        parent: the end of a pipe that closes with the process that started this one, which ends then.
    """
    waiting = selectors.DefaultSelector()
    waiting.register(listening, selectors.EVENT_READ)
    waiting.register(parent, selectors.EVENT_READ)
    while True:
        for key, _ in waiting.select():
            if key.fd == parent:
                shutil.rmtree(os.path.dirname(listening.getsockname()), ignore_errors=True)
                os._exit(0)
            if key.fileobj is listening:
                _begin(waiting, listening.accept()[0])
            # Job and client can end at once, and a new client can have the number of either by then.
            elif waiting.get_map().get(key.fd) is key:
                _end(waiting, key.fd, *key.data)


def _begin(waiting: selectors.BaseSelector, connection: socket.socket) -> None:
    """Start the job of a client, and wait for what ends first, the job or the client."""
    content, streams = _receive(connection)
    job = os.fork()
    if not job:
        for inherited in [connection.fileno(), *waiting.get_map()]:
            os.close(inherited)
        os._exit(_run(content, streams))
    for stream in streams:
        os.close(stream)
    ended = os.pidfd_open(job)
    for either in (ended, connection):
        waiting.register(either, selectors.EVENT_READ, (job, ended, connection))


def _end(waiting: selectors.BaseSelector, first: int, job: int, ended: int, connection: socket.socket) -> None:
    """Send a client the status of its job; kill the job if it is not what ended first."""
    if first != ended:
        os.kill(job, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(job, 0)[1])
    with suppress(OSError):
        connection.sendall(str(status).encode())
    waiting.unregister(ended)
    waiting.unregister(connection)
    os.close(ended)
    connection.close()


def _import_for_jobs() -> None:
    sys.path[0] = str(SOURCES)
    import faiss  # noqa: F401
    import matplotlib.figure  # noqa: F401
    import pyarrow.parquet  # noqa: F401
    import scipy.stats  # noqa: F401
    import sklearn.feature_extraction.text  # noqa: F401

    # An optimiser imports it in its first step.
    import torch._dynamo  # noqa: F401

    # Import OpenCLIP as jobs do, through the module that leaves out slow imports.
    import dejavu.training.openclip  # noqa: F401

    for name in [name for name in sys.modules if name.partition(".")[0] == "dejavu"]:
        del sys.modules[name]
    sys.path.pop(0)


def _run(content: dict, streams: list[int]) -> int:
    """Run a script in a process that looks like a newly started Python, and return the exit status."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(content["folder"])
    os.environ.clear()
    os.environ.update(content["environment"])
    script = content["script"]
    sys.argv = [script]
    paths = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:0] = [os.path.dirname(script), *filter(None, paths)]
    tempfile.tempdir = None
    # Python runs sitecustomize at its start; tests use it to inject faults.
    sys.orig_argv = [sys.executable, script]
    with suppress(ImportError):
        importlib.import_module("sitecustomize")
    try:
        runpy.run_path(script, run_name="__main__")
        status = 0
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        traceback.print_exc()
        status = 1
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    return status


def _receive(connection: socket.socket) -> tuple[dict, list[int]]:
    length, streams, _, _ = socket.recv_fds(connection, 8, 3)
    size, content = int.from_bytes(length, "big"), b""
    while len(content) < size:
        content += connection.recv(size - len(content))
    return json.loads(content), streams


if __name__ == "__main__":
    if len(sys.argv) == 1:
        _serve()
    else:
        _import_for_snakemake(sys.argv[1])
        _snakemake(sys.argv[2:])
