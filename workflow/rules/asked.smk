# Needs:  the configuration
# Makes:  input functions: the manifests of the samples that are asked about

from dejavu.paths import MANIFEST, QUERY_MANIFEST
from dejavu.plan.asked import may_exceed_limit


def asked_manifest(role):
    """The manifest of the samples of a role that are embedded and asked about, as an input function.

    That is the role's manifest, unless the role may have more samples than `measure.query_limit`.

    role: named, or the wildcard that holds it.
    """

    def manifest(wildcards):
        name = getattr(wildcards, role, role)
        limited = may_exceed_limit(CONFIG, wildcards.split, name)
        return in_split(QUERY_MANIFEST if limited else MANIFEST, wildcards, role=name)

    return manifest


def asked_manifests(wildcards):
    """The same of all query roles."""
    return [asked_manifest(role)(wildcards) for role in POPULATIONS]
