"""Starts of Snakemake that share one import of it: each is a fork of a process that has imported what planning needs.

What runs is ``snakemake.cli.main``, as behind the command; jobs are processes of their own as ever.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import tempfile
from functools import cache
from multiprocessing.context import ForkServerContext
from pathlib import Path


@cache
def _server() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    # what the Snakefile imports, but nothing of this package, of which every project under test has its own copy
    context.set_forkserver_preload(["snakemake.cli", "snakemake.script", "pyarrow.parquet", "jsonschema", "PIL.Image"])
    return context


def snakemake(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Snakemake in a folder, with what it printed."""
    with tempfile.TemporaryDirectory() as made:
        streams = [Path(made, name) for name in ("stdout", "stderr")]
        process = _server().Process(target=_main, args=(folder, arguments, *streams))
        process.start()
        process.join()
        stdout, stderr = (stream.read_text(encoding="utf-8", errors="replace") for stream in streams)
    return subprocess.CompletedProcess(["snakemake", *arguments], process.exitcode or 0, stdout, stderr)


def _main(folder: Path, arguments: tuple[str, ...], *streams: Path) -> None:
    for number, stream in enumerate(streams, start=1):
        os.dup2(os.open(stream, os.O_WRONLY | os.O_CREAT, 0o600), number)
    os.chdir(folder)
    os.environ.pop("PYTHONPATH", None)
    sys.path[:] = [entry for entry in sys.path if not Path(entry, "dejavu").is_dir()]
    sys.argv = ["snakemake", *arguments]
    from snakemake.cli import main

    main()
