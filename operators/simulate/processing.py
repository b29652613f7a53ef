"""How long consumers work at a message, by how busy they are."""

import numpy as np

from operators.schema.arrays import Floats, Ints
from operators.simulate.anomalies.kinds import Lever
from operators.simulate.anomalies.levers import Levers
from operators.simulate.noise import Lanes

BUSIEST = 0.95
"""Utilisation above which processing gets no slower."""


def processing_time(
    preset: Floats, messages: Ints, capacity: Ints, uniform: Lanes, levers: Levers
) -> Floats:
    """ProcessingTime = preset · (½ + ¼ / (1 − messages / capacity)) ± 10 %, × what is pulled.

    At half the capacity that is the preset's; it rises with utilisation as a queue's does.
    Milliseconds, shape (queues, ticks); `preset` has one a queue, shape (queues, 1).
    """
    busy = np.minimum(messages / np.maximum(capacity, 1), BUSIEST)
    time: Floats = preset * (0.5 + 0.25 / (1 - busy))
    time *= uniform[:, :, 2] * (0.2 / 65536) + 0.9
    for pull in levers.of(Lever.PROCESSING):
        time[pull.entities, pull.span] *= pull.pulled
    return time
