# Needs:  the configuration
# Makes:  what a run makes, as inputs of the rule `all`, and what a study is made from

from dejavu.paths import DATABASE, REPORT, SUMMARY, at
from dejavu.plan.summaries import study_folder


def reported(split):
    """What a finished split has."""
    dataset = CONFIG["splits"][split]["dataset"]
    return [
        at(pattern, dataset=dataset, split=split)
        for pattern in (REPORT, SUMMARY, DATABASE)
    ]


def studied(study):
    """What a finished study has."""
    folder = study_folder(CONFIG, study)
    return [f"{folder}/report", f"{folder}/summary.txt"]


def study_databases(wildcards):
    """Split: database, for the points of a study, its own split first."""
    study = CONFIG["studies"][wildcards.study]
    splits = [study["split"], *(point["split"] for point in study["points"])]
    return {
        split: at(DATABASE, dataset=wildcards.dataset, split=split)
        for split in dict.fromkeys(splits)
    }


def everything(wildcards):
    """What the whole configuration makes."""
    # with no job left, no parameter function runs and warns
    warn_of_triggers()
    return [
        # a further replicate is reported in its split
        *(
            file
            for split in CONFIG["splits"]
            if split not in REPLICATES
            for file in reported(split)
        ),
        *(file for study in CONFIG["studies"] for file in studied(study)),
    ]
