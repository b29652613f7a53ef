"""An isolation forest a series, by scikit-learn. Scores: `entity` (path), `time` (ms), `score`.

Source: Liu, Ting, Zhou: Isolation Forest, ICDM 2008.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl

from flows.detectors.features import as_scores, features
from flows.errors import MissingExtraError
from flows.samples import Samples


def isolation_forest(samples: Samples, seed: int = 0) -> Iterator[pl.DataFrame]:
    """How few cuts at random part a tick from the others of its series.

    Raises:
        MissingExtraError: the extra is not installed.
    """
    forest, config = _forest()
    for one in features(samples):
        ordinary = np.nanmedian(one.values, axis=0)
        values = np.where(np.isnan(one.values), ordinary, one.values)
        # All is finite here; to look again at each of a hundred trees takes a sixth of the time.
        with config(assume_finite=True, skip_parameter_validation=True):
            trees = forest(n_estimators=100, random_state=seed).fit(values)
            scores = -trees.score_samples(values)
        yield as_scores(one, scores)


def _forest() -> tuple[Any, Any]:
    """What makes a forest, and what sets the library's options for a while."""
    try:
        from sklearn import config_context
        from sklearn.ensemble import IsolationForest
    except ImportError:
        raise MissingExtraError("the forest is of", "scikit-learn>=1.7") from None
    return IsolationForest, config_context
