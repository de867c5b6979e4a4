# Needs:  results/<dataset>/groups.parquet, fingerprints and samples
# Makes:  results/<dataset>/<split>/manifests/<role>.parquet, each by its own job with its own parameters
#         results/<dataset>/<split>/queries/<role>.parquet, of roles that may have more samples than are asked about
#         results/<dataset>/<split>/training_sets/<side>.parquet, where the split has a role `shared`
#         results/<dataset>/<split>/disjoint.json

from dejavu.paths import DISJOINT, GROUPS, MANIFEST, QUERY_MANIFEST, TRAINING_SET, at
from dejavu.tables.roles import SHARED


rule manifest:
    """Chooses the samples of one role; other roles' parameters play no part."""
    input:
        groups=lambda w: at(GROUPS, dataset=role_dataset(w, w.role)),
        samples=folders("samples", "role"),
        # a listed sample is in no other role
        # those of a further replicate are dealt by another rule, but Snakemake asks this one, too
        lists=lambda w: [one["file"] for one in drawn(w).get("listed", {}).values()],
    output:
        MANIFEST,
    log:
        "logs/{dataset}/{split}/manifest/{role}.log",
    benchmark:
        "results/{dataset}/{split}/benchmarks/manifest/{role}.tsv"
    conda:
        CONDA
    resources:
        mem_mb=growing(1000, per_gb=1000, of=["groups", "lists"]),
        runtime=growing(30, per_gb=30, of=["groups"]),
    params:
        code=code("manifest.py"),
        seed=lambda w: drawn(w)["seed"],
        interval=lambda w: as_json(drawn(w)["interval"]),
        listed=lambda w: as_json(
            {
                role: {key: one[key] for key in ("column", "max_missing")}
                for role, one in drawn(w)["listed"].items()
            }
        ),
        stratify=lambda w: drawn(w)["stratify"],
        limit=lambda w: drawn(w)["limit"],
        deduplicate=lambda w: drawn(w)["deduplicate"],
    script:
        "../scripts/manifest.py"


rule query_manifest:
    """Chooses the samples of a role that are embedded and asked about: the first of its manifest."""
    input:
        MANIFEST,
    output:
        QUERY_MANIFEST,
    log:
        "logs/{dataset}/{split}/query_manifest/{role}.log",
    benchmark:
        "results/{dataset}/{split}/benchmarks/query_manifest/{role}.tsv"
    conda:
        CONDA
    resources:
        mem_mb=growing(1000),
        runtime=growing(10, per_gb=10),
    params:
        code=code("query_manifest.py"),
        limit=CONFIG["measure"]["query_limit"],
    script:
        "../scripts/query_manifest.py"


rule training_set:
    """Joins the samples of a side's role with those that both sides are trained on."""
    input:
        own=at(MANIFEST, role="{side}"),
        shared=at(MANIFEST, role=SHARED),
    output:
        TRAINING_SET,
    log:
        "logs/{dataset}/{split}/training_set/{side}.log",
    benchmark:
        "results/{dataset}/{split}/benchmarks/training_set/{side}.tsv"
    conda:
        CONDA
    resources:
        mem_mb=growing(1000),
        runtime=growing(10, per_gb=10),
    params:
        code=code("training_set.py"),
    script:
        "../scripts/training_set.py"


rule disjoint:
    """Asserts that no two roles share a sample, a duplicate group, or what a configured criterion calls the same."""
    input:
        unpack(role_manifests),
        fingerprints=folders("fingerprints"),
    output:
        DISJOINT,
    log:
        "logs/{dataset}/{split}/disjoint.log",
    benchmark:
        "results/{dataset}/{split}/benchmarks/disjoint.tsv"
    conda:
        CONDA
    resources:
        mem_mb=growing(1000, per_gb=500, of=["fingerprints"]),
        runtime=growing(30, per_gb=60, of=["fingerprints"]),
    params:
        code=code("disjoint.py"),
        criteria=lambda w: as_json(shared_criteria(w)),
        datasets=lambda w: as_json(
            {role: role_dataset(w, role) for role in roles_of(split_of(w))}
        ),
    script:
        "../scripts/disjoint.py"
