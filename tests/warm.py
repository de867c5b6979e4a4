"""Starts of Snakemake that share one import of it: each is a fork of a process that has imported what planning needs.

What runs is ``snakemake.cli.main``, as behind the command; jobs are processes of their own as ever.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path


@cache
def _server() -> subprocess.Popen[str]:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return subprocess.Popen(
        [sys.executable, __file__], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def snakemake(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Snakemake in a folder, with what it printed."""
    server = _server()
    assert server.stdin and server.stdout
    with tempfile.TemporaryDirectory() as made:
        streams = [Path(made, name) for name in ("stdout", "stderr")]
        print(json.dumps([str(folder), arguments, *map(str, streams)]), file=server.stdin, flush=True)
        status = int(server.stdout.readline())
        stdout, stderr = (stream.read_text(encoding="utf-8", errors="replace") for stream in streams)
    return subprocess.CompletedProcess(["snakemake", *arguments], status, stdout, stderr)


def _serve() -> None:
    """Forks for every line of standard input; ends when that is closed, as when the tests have been killed."""
    # what the Snakefile imports, but nothing of this package, of which every project under test has its own copy
    sys.path.pop(0)
    import jsonschema  # noqa: F401
    import PIL.Image  # noqa: F401
    import pyarrow.parquet  # noqa: F401
    import snakemake.cli
    import snakemake.script

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
            sys.argv = ["snakemake", *arguments]
            snakemake.cli.main()
            os._exit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    _serve()
