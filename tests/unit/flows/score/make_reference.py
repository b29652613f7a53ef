"""Writes reference.json: what published packages give for some series.

Run where vus 0.0.6 and prts 1.0.0.3 can be imported (of vus only `utils` and `affiliation` are
used, so its models' dependencies need not be there): `python make_reference.py > reference.json`.
"""

import json
import sys
from typing import Any

import numpy as np


def series(seed: int) -> tuple[Any, Any]:
    """Labels and scores of a made-up series: runs that touch ends, ties, a detector that is poor."""
    rng = np.random.default_rng(seed)
    ticks = int(rng.integers(40, 500))
    labels = np.zeros(ticks, np.int64)
    for _ in range(rng.integers(1, 6)):
        start = rng.integers(0, ticks)
        labels[start : start + rng.integers(1, 30)] = 1
    scores = np.round(rng.normal(size=ticks) + labels * rng.choice([0.0, 0.5, 2.0]), 1 + seed % 3)
    return labels, scores


def main() -> None:
    """Prints one JSON list of cases."""
    from prts.time_series_metrics.precision import TimeSeriesPrecision
    from prts.time_series_metrics.recall import TimeSeriesRecall
    from vus.affiliation.generics import convert_vector_to_events
    from vus.affiliation.metrics import pr_from_events
    from vus.utils.metrics import metricor

    cases = []
    for seed, window in enumerate([0, 1, 5, 20, 31, 100] * 4):
        labels, scores = series(seed)
        predicted = (scores > np.quantile(scores, 0.9)).astype(np.int64)
        *_, roc, pr = metricor().RangeAUC_volume_opt(labels, scores, window)
        affiliated = pr_from_events(
            convert_vector_to_events(predicted),
            convert_vector_to_events(labels),
            (0, len(labels)),
        )
        ranges = {}
        for bias in ("flat", "front", "middle", "back"):
            for cardinality in ("one", "reciprocal"):
                for alpha in (0.0, 0.3):
                    recall = TimeSeriesRecall(alpha, cardinality, bias).score(labels, predicted)
                    ranges[f"recall {bias} {cardinality} {alpha}"] = float(recall)
                precision = TimeSeriesPrecision(0.0, cardinality, bias).score(labels, predicted)
                ranges[f"precision {bias} {cardinality} 0.0"] = float(precision)
        cases.append(
            {
                "window": window,
                "labels": labels.tolist(),
                "scores": scores.tolist(),
                "predicted": predicted.tolist(),
                "vus_roc": float(roc),
                "vus_pr": float(pr),
                "affiliation_precision": float(affiliated["Affiliation_Precision"]),
                "affiliation_recall": float(affiliated["Affiliation_Recall"]),
                "ranges": ranges,
            }
        )
    json.dump(cases, sys.stdout)


if __name__ == "__main__":
    main()
