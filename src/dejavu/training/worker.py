"""One process of a training on several; torchrun starts it as ``python -m dejavu.training.worker job.json``."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path

from torch.distributed.elastic.multiprocessing.errors import get_error_handler

from dejavu.errors import InputError
from dejavu.processes import die_with_parent, end_well
from dejavu.training.job import Job
from dejavu.training.ranks import joined
from dejavu.training.run import run_job


def main(path: Path) -> None:
    """Train, as one of the processes that torchrun's environment names, the job that a JSON file describes."""
    die_with_parent()
    job = Job.read(path)
    with joined(job.device) as ranks:
        run_job(job, ranks)


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]))
        end_well()
    except Exception as error:
        get_error_handler().record_exception(error)
        if not isinstance(error, InputError):
            traceback.print_exc()
        sys.exit(1)
