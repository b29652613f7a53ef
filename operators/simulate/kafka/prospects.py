"""Whether simulated groups will lose what they have not read: the columns of collected ones."""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pyarrow as pa

from operators.outlook import CLOSE, KEEPS_UP, STATES, Standing, outlook
from operators.schema.arrays import Floats, Ints
from operators.schema.arrow import from_numpy
from operators.simulate.block import Block
from operators.simulate.consumption import Consumed, Consumption
from operators.simulate.kafka.topics import Flow, Kept

_WORDS = pa.array(STATES)

ORDINARY: dict[str, Any] = {
    "consumerGroup.lostMessages": 0,
    "consumerGroup.catchUpSeconds": 0.0,
    "consumerGroup.lagState": STATES[0],
    "consumerGroup.readsCompacted": 0,
    "consumerGroup.openTransaction": 0,
}
"""Columns of groups that keep up."""


@dataclass(frozen=True, slots=True)
class Prospects:
    """What follows for each pair of a group and a topic, shape (pairs, ticks)."""

    unread: Ints
    of_messages: Floats
    of_time: Floats
    lost: Ints | None
    """None where nothing was lost."""
    margin: Floats | None
    """None, as the next two, where all keep up and nothing is near its end."""
    catch_up: Floats | None
    state: Ints | None


def prospects(
    block: Block, flow: Flow, kept: Kept, pairs: Consumption, consumed: Consumed, age: Floats
) -> Prospects:
    """What `operators.outlook` says of each pair, by the rates that the simulation goes by.

    What comes is what is expected times what anomalies make of it, what is read is the capacity while
    there is a backlog. A share of retained messages is one of those that the topic would hold without
    anomalies.
    """
    topic, seconds = pairs.topic, block.seconds
    lag = consumed.lag
    held = kept.retained.take(topic, axis=0)
    ordinary = held if kept.calm is kept.retained else kept.calm.take(topic, axis=0)
    retention = np.broadcast_to(kept.retention, kept.retained.shape).take(topic, axis=0)
    unread = np.minimum(lag, held)
    gone = lag > held
    share = 100 * np.minimum(lag / np.maximum(ordinary, 1), 1.0)
    share[gone] = 100.0
    of_time = np.where(gone, 100.0, np.minimum(100 * age / retention, 100.0))
    chosen = (age >= KEEPS_UP) | gone | (retention - age <= CLOSE * seconds)
    if consumed.lost is not None:
        chosen |= consumed.lost > 0
    if not chosen.any():
        return Prospects(unread, share, of_time, consumed.lost, None, None, None)
    pair, tick = np.nonzero(chosen)
    came = flow.messages[topic[pair], tick] / np.maximum(flow.calm[topic[pair], tick], 1)
    produced = flow.expected[topic[pair], tick] * np.where(
        flow.calm[topic[pair], tick] > 0, came, 1.0
    )
    capacity = np.broadcast_to(consumed.capacity, lag.shape)[pair, tick] / seconds
    standing = Standing(
        lag=lag[pair, tick].astype(np.float64),
        retained=held[pair, tick].astype(np.float64),
        age=age[pair, tick],
        consumed=consumed.out[pair, tick] / seconds,
        pace=np.where(consumed.backlog[pair, tick] > 0, capacity, produced),
        produced=produced,
        lost=_at(consumed.lost, pair, tick),
        retention=retention[pair, tick],
        room=held[pair, tick].astype(np.float64),
        interval=seconds,
    )
    ahead = outlook(standing)
    margin, catch_up = np.full(lag.shape, np.inf), np.zeros(lag.shape)
    state = np.zeros(lag.shape, np.int64)
    margin[pair, tick], catch_up[pair, tick] = ahead.margin, ahead.catch_up
    state[pair, tick] = ahead.state
    return Prospects(unread, share, of_time, consumed.lost, margin, catch_up, state)


def columns(of: Prospects) -> dict[str, Any]:
    """The columns of the table; what is ordinary is left out."""
    made: dict[str, Any] = {
        "consumerGroup.unreadMessages": of.unread,
        "consumerGroup.lagOfRetainedMessages": of.of_messages,
        "consumerGroup.lagOfRetentionTime": of.of_time,
    }
    if of.lost is not None:
        made["consumerGroup.lostMessages"] = of.lost
    if of.margin is not None:
        made["consumerGroup.marginSeconds"] = _known(of.margin)
    if of.catch_up is not None:
        made["consumerGroup.catchUpSeconds"] = _known(of.catch_up)
    if of.state is not None:
        codes = from_numpy(of.state.reshape(-1).astype(np.int32), pa.int32())
        made["consumerGroup.lagState"] = pa.DictionaryArray.from_arrays(codes, _WORDS)
    return made


def of_groups(of: Prospects, pairs: Consumption) -> Prospects:
    """Those of groups: messages summed, of shares the greatest, of times and states the worst."""
    how: dict[str, tuple[Any, float]] = {
        "unread": (np.add, 0),
        "lost": (np.add, 0),
        "margin": (np.minimum, np.inf),
    }
    reduced: dict[str, Any] = {}
    for name in (field.name for field in fields(of)):
        values = getattr(of, name)
        ufunc, empty = how.get(name, (np.maximum, 0))
        reduced[name] = None if values is None else pairs.by_group.ordered(values, ufunc, empty)
    return Prospects(**reduced)


def some(of: Prospects, chosen: Ints) -> Prospects:
    """Those of some pairs."""
    kept: dict[str, Any] = {}
    for field in fields(of):
        values = getattr(of, field.name)
        kept[field.name] = None if values is None else values[chosen]
    return Prospects(**kept)


def _at(lost: Ints | None, pair: Ints, tick: Ints) -> Floats:
    return np.zeros(len(pair)) if lost is None else lost[pair, tick].astype(np.float64)


def _known(values: Floats) -> pa.Array:
    flat = values.reshape(-1)
    return from_numpy(flat, pa.float64(), ~np.isfinite(flat))
