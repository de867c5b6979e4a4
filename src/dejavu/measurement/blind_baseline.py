"""A blind baseline: a classifier that tells members of a list from other samples by their captions alone.

If the classifier succeeds, members and other samples differ in distribution. A gap between them may then come from this
difference and not from memory ("Blind Baselines Beat Membership Inference Attacks for Foundation Models", arXiv
2406.16201).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline, make_union

# The classifier compares at most MOST captions of members and as many of others, and at least FEWEST of each.
MOST, FEWEST = 2000, 50
# An AUC counts as above chance from this many standard errors above 0.5.
TOLERANCE = 4


@dataclass(frozen=True)
class Baseline:
    """Result of the classifier that tells captions of members from captions of others.

    Attributes:
        auc: area under the ROC curve, in [0, 1], by cross-validation; 0.5 is chance.
        error: standard error of ``auc`` where members and others do not differ.
        number: number of captions of members, and of others.
    """

    auc: float
    error: float
    number: int

    @property
    def is_above_chance(self) -> bool:
        """Whether ``auc`` is above chance."""
        return self.auc > 0.5 + TOLERANCE * self.error


def blind_baseline(members: Sequence[str], others: Sequence[str]) -> Baseline | None:
    """Train a classifier to tell captions of members from captions of others, and test it on held-out captions.

    The classifier is a logistic regression on TF-IDF of words, and of one to three characters within words, in five
    folds. A caption that occurs several times counts once. A caption that occurs among members and among others is left
    out.

    Args:
        members, others: captions of members, and of other samples.

    Returns:
        The result; None where fewer than :data:`FEWEST` captions of members or of others are left.
    """
    both = set(members) & set(others)
    kinds = [sorted(set(captions) - both) for captions in (members, others)]
    number = min(MOST, *map(len, kinds))
    if number < FEWEST:
        return None
    random = np.random.default_rng(0)
    captions = [kind[i] for kind in kinds for i in random.choice(len(kind), number, replace=False)]
    is_member = np.repeat([1, 0], number)
    features = make_union(
        TfidfVectorizer(min_df=2, max_features=50_000, sublinear_tf=True),
        TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 3), min_df=2, max_features=50_000, sublinear_tf=True),
    )
    model = make_pipeline(features, LogisticRegression(C=1.0, max_iter=200))
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    score = cross_val_predict(model, captions, is_member, cv=folds, method="decision_function")
    error = math.sqrt((2 * number + 1) / (12 * number * number))
    return Baseline(float(roc_auc_score(is_member, score)), error, number)
