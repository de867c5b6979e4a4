"""A membership score from reference models, after RMIA (Zarifzadeh, Liu and Shokri, arXiv 2312.03262).

RMIA compares how much a model raises the probability of a sample x over its average under reference models with how
much it raises that of population samples z:

    ratio(x) = Pr(x | model) / Pr(x),    score(x) = share of the z with ratio(x) / ratio(z) >= gamma.

What is taken over: the ratio to the mean over reference models of which half were trained on x and half were not, the
comparison with population samples in pairs, and gamma = 1. What differs: the probability of a sample is that of a
classifier there, and a contrastive model has none for a pair on its own. The cosine of the pair takes the place of the
logarithm of the probability, so the mean over references is a geometric one of probabilities, and the temperature
plays no part. The models' training sets are halves of one pool that replicates deal anew, so references are trained as
the attacked model is; there are only two for each further replicate.
"""

from __future__ import annotations

import numpy as np


def log_ratio(attacked: np.ndarray, references: np.ndarray) -> np.ndarray:
    """Return the logarithm of the ratio: score under the attacked model minus mean score under the references.

    Args:
        attacked: float (samples,), scores under the attacked model.
        references: float (samples,), mean of the scores under the reference models. A model whose training set follows
            from that of the attacked model tells who is a member, and is no reference.
    """
    return attacked - references


def pairwise_score(ratios: np.ndarray, population: np.ndarray, is_population: bool = False) -> np.ndarray:
    """Return the share of the population samples whose ratio is at most that of each sample; float64 (samples,).

    The pairs are not formed: the share is the place of a ratio among the sorted ratios of the population.

    Args:
        ratios: float (samples,), logarithms of the samples' ratios.
        population: float (m,), those of the population samples; at least two.
        is_population: whether the samples are themselves in the population; each is then left out of its own pairs.
    """
    at_most = np.searchsorted(np.sort(population), ratios, side="right")
    own = int(is_population)
    return np.asarray((at_most - own) / (len(population) - own))
