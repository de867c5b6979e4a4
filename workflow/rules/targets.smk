# Needs:  the configuration
# Makes:  the inputs of the rule `all`, which are the results of a run, and the inputs of a study

from dejavu.paths import DATABASE, REPORT, SUMMARY, at
from dejavu.plan.summaries import study_folder


def reported(split):
    """Return the final files of a split."""
    dataset = CONFIG["splits"][split]["dataset"]
    return [
        at(pattern, dataset=dataset, split=split)
        for pattern in (REPORT, SUMMARY, DATABASE)
    ]


def studied(study):
    """Return the final files of a study."""
    folder = study_folder(CONFIG, study)
    return [f"{folder}/report", f"{folder}/summary.txt"]


def study_databases(wildcards):
    """Return split -> its database, for all splits of a study's points; the study's own split comes first."""
    study = CONFIG["studies"][wildcards.study]
    splits = [study["split"], *(point["split"] for point in study["points"])]
    return {
        split: at(DATABASE, dataset=wildcards.dataset, split=split)
        for split in dict.fromkeys(splits)
    }


def everything(wildcards):
    """Return the final files of all splits and studies."""
    # Parameter functions warn as well, but none is called where no job is left.
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
