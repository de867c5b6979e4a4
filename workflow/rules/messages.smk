# Needs:  the configuration, and the state of results/ before the run
# Makes:  the messages of a run: warnings before it; after it, the logs of failed jobs and the result tables

import logging
import time

from snakemake_interface_logger_plugins.common import LogEvent

from dejavu.plan.profiles import require_profile
from dejavu.plan.results import lost_metadata
from dejavu.plan.summaries import new_summaries
from dejavu.slurm import end_leftovers

STARTED = time.time()


def warn():
    """Warn where changes since finished results cannot be seen; refuse a profile that does not exist."""
    if lost_metadata(Path("results"), Path(".snakemake/metadata")):
        logger.warning(
            "results/ is here but .snakemake/metadata is not, so changes of configuration or code since those results "
            "were made cannot be seen: copy .snakemake/metadata along with results/, or add --forceall to make all "
            "anew."
        )
    if UNSEEN is not None:
        logger.warning(UNSEEN)
    try:
        require_profile(sys.argv, Path(workflow.main_snakefile))
    except InputError as error:
        raise WorkflowError(str(error)) from None


def cancel_leftovers():
    """Cancel cluster jobs that a killed Snakemake left, because two jobs must not write the same file."""
    if not any(file.is_file() for file in Path(".snakemake/incomplete").rglob("*")):
        return
    try:
        if ended := end_leftovers(Path.cwd()):
            logger.warning(
                f"{len(ended)} jobs that an earlier run left on the cluster were cancelled; "
                "training goes on from its last state."
            )
    except InputError as error:
        raise WorkflowError(str(error)) from None


class Failures(logging.Handler):
    """Lists the logs of failed jobs and failed groups; a job whose later attempt succeeds leaves the list."""

    def __init__(self):
        super().__init__()
        self.logs = {}

    def emit(self, record):
        event = getattr(record, "event", None)
        if event == LogEvent.JOB_ERROR:
            self.logs[record.jobid] = record.log
        elif event == LogEvent.JOB_FINISHED:
            self.logs.pop(record.job_id, None)

    def print(self, most=10):
        """Print the last line of each failed job's log; messages of a cluster push the logs themselves out of sight."""
        logs = [Path(log) for several in self.logs.values() for log in several]
        for log in [log for log in logs if log.is_file()][:most]:
            lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
            print(f"{log} ends with: {lines[-1] if lines else ''}", file=sys.stderr)


FAILURES = Failures()
logger.addHandler(FAILURES)


def print_summaries():
    """Print the result tables of the splits and studies that this run has made, and the paths of their reports."""
    for summary in new_summaries(CONFIG, since=STARTED):
        print(summary, file=sys.stderr)


if workflow.is_main_process:
    warn()
