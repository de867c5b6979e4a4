"""The blind baseline: whether captions alone tell the samples of one role from those of another, without any model.

If so, the two are not of one distribution, and a gap between them may be that difference and no memory ("Blind
Baselines Beat Membership Inference Attacks for Foundation Models", arXiv 2406.16201).
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

# of each kind at most so many captions are compared, and at least
MOST, FEWEST = 2000, 50
# standard errors that chance is given
TOLERANCE = 4


@dataclass(frozen=True)
class Apart:
    """How well captions of members are told from others.

    Attributes:
        auc: area under the ROC curve, in [0, 1], over captions that the classifier was not fitted to; 0.5 is chance.
        error: its standard error where there is no difference.
        number: captions of each kind.
    """

    auc: float
    error: float
    number: int

    @property
    def clear(self) -> bool:
        """Whether that is more than chance."""
        return self.auc > 0.5 + TOLERANCE * self.error


def told_apart(members: Sequence[str], others: Sequence[str]) -> Apart | None:
    """Fit words and characters of captions to membership, and ask it of captions that were left out.

    Logistic regression on TF-IDF of words, and of one to three characters within words, in five folds. A caption that
    occurs several times counts once, and one of both kinds not at all.

    Returns:
        None where there are fewer than :data:`FEWEST` captions of a kind.
    """
    both = set(members) & set(others)
    kinds = [sorted(set(captions) - both) for captions in (members, others)]
    number = min(MOST, *map(len, kinds))
    if number < FEWEST:
        return None
    random = np.random.default_rng(0)
    captions = [kind[i] for kind in kinds for i in random.choice(len(kind), number, replace=False)]
    is_member = np.repeat([1, 0], number)
    parts = make_union(
        TfidfVectorizer(min_df=2, max_features=50_000, sublinear_tf=True),
        TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 3), min_df=2, max_features=50_000, sublinear_tf=True),
    )
    model = make_pipeline(parts, LogisticRegression(C=1.0, max_iter=200))
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    score = cross_val_predict(model, captions, is_member, cv=folds, method="decision_function")
    error = math.sqrt((2 * number + 1) / (12 * number * number))
    return Apart(float(roc_auc_score(is_member, score)), error, number)
