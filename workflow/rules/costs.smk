# Needs:  the configuration and the datasets' files
# Makes:  the benchmark files of all stages of a split, from which the database tells what each of them cost

from dejavu.plan.job_list import split_jobs


def split_benchmarks(wildcards):
    """Benchmark files of all jobs that a split is made of, in the order of the workflow."""
    return [
        job.benchmark for job in split_jobs(CONFIG, DATASETS, wildcards.split, trainer)
    ]
