#!/usr/bin/env bash
# aeon's VUS and its authors' differ by a tenth on one series; seen 2026-11-28 with aeon 1.6.0 and vus 0.0.6.
#
# Both name Paparrizos et al., Volume Under the Surface (PVLDB 15, 2022). Of the same labels and scores the
# authors' VUS-PR grows with the buffer, and aeon's falls. So figures of the two cannot be compared, and a
# ranking of detectors that is made by one need not be the other's. mqpipe follows the authors' package.
#
# Seen (two true runs of 20 and 10 ticks of 400):
#   buffer 10: vus VUS-PR 0.823 VUS-ROC 0.952, aeon VUS-PR 0.773 VUS-ROC 0.933
#   buffer 20: vus VUS-PR 0.848 VUS-ROC 0.963, aeon VUS-PR 0.760 VUS-ROC 0.932
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check aeon==1.6.0 vus==0.0.6 numpy==2.3.5
"$folder/venv/bin/python" - <<'PYTHON' | tee "$folder/seen"
import numpy as np
from aeon.benchmarking.metrics.anomaly_detection import range_pr_vus_score, range_roc_vus_score
from vus.utils.metrics import metricor

labels = np.zeros(400, int)
labels[100:120] = labels[250:260] = 1
scores = np.random.default_rng(0).random(400) / 2
scores[100:120] += 0.4
scores[252:262] += 0.4
for buffer in (10, 20):
    *_, roc, pr = metricor().RangeAUC_volume_opt(labels, scores, buffer)
    other = [f(labels, scores, max_buffer_size=buffer) for f in (range_pr_vus_score, range_roc_vus_score)]
    print(f"buffer {buffer}: vus VUS-PR {pr:.3f} VUS-ROC {roc:.3f}, ", end="")
    print("aeon VUS-PR {:.3f} VUS-ROC {:.3f}".format(*other))
PYTHON
diff "$folder/seen" - <<'SEEN'
buffer 10: vus VUS-PR 0.823 VUS-ROC 0.952, aeon VUS-PR 0.773 VUS-ROC 0.933
buffer 20: vus VUS-PR 0.848 VUS-ROC 0.963, aeon VUS-PR 0.760 VUS-ROC 0.932
SEEN
