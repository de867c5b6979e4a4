# Needs:  the configuration
# Makes:  input functions: the manifests of a split's roles, and what its sides are trained on

from dejavu.paths import MANIFEST, TRAINING_SET, at
from dejavu.tables.roles import SHARED, roles_of, training_roles


def role_manifests(wildcards):
    """Return role -> its manifest, of all roles of a split."""
    return {
        role: in_split(MANIFEST, wildcards, role=role)
        for role in roles_of(split_of(wildcards))
    }


def manifest_files(wildcards):
    """Return the same manifests as a list."""
    return list(role_manifests(wildcards).values())


def training_set(wildcards):
    """Return the manifest of what a side is trained on: that of its role, or with shared samples both together."""
    if SHARED in split_of(wildcards)["roles"]:
        return in_split(TRAINING_SET, wildcards, side=wildcards.side)
    return in_split(MANIFEST, wildcards, role=wildcards.side)


def training_samples(wildcards):
    """Return the folders of the samples that a side is trained on."""
    roles = training_roles(split_of(wildcards), wildcards.side)
    return folders("samples", *roles)(wildcards)


def joined_training_sets(wildcards):
    """Return the training sets that were joined with shared samples, of all trainings whose sides a split measures."""
    if SHARED not in split_of(wildcards)["roles"]:
        return []
    sides = trained_sides(sides_measured(CONFIG, wildcards.split))
    return list(
        dict.fromkeys(
            trained_file(
                at(TRAINING_SET, side=trained.letter),
                wildcards.split,
                trained.model,
                trained.letter,
            )
            for trained in sides
        )
    )
