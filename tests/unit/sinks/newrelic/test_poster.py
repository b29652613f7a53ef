"""Events about mqpipe itself: none that came before the end is left, unless New Relic is away."""

import asyncio
import gzip
import json
from typing import Any

import pytest
from pydantic import SecretStr

from sinks.delivery import Parcel
from sinks.newrelic.destination import NewRelic
from sinks.newrelic.poster import NewRelicPoster
from sinks.newrelic.settings import NewRelicSettings


@pytest.fixture
def posted(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The names of the events that New Relic got."""
    names: list[Any] = []

    async def send(self: NewRelic, parcel: Parcel) -> None:
        names.extend(event["name"] for event in json.loads(gzip.decompress(parcel.body)))

    monkeypatch.setattr(NewRelic, "send", send)
    return names


def poster() -> NewRelicPoster:
    return NewRelicPoster(NewRelicSettings(license_key=SecretStr("k" * 40)), 7, every=3600)


def test_what_came_before_the_end_is_posted_where_the_end_comes_first(posted: list[Any]) -> None:
    """A run may end before its events were ever posted."""

    async def run() -> None:
        events, closing = poster(), asyncio.Event()
        events.put({"name": "early"})
        closing.set()
        await events.run(closing)

    asyncio.run(run())
    assert posted == ["early"]


def test_what_comes_during_the_last_post_is_posted(
    posted: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end may be asked for meanwhile."""
    events, send = poster(), NewRelic.send

    async def run() -> None:
        closing = asyncio.Event()

        async def send_slowly(newrelic: NewRelic, parcel: Parcel) -> None:
            await send(newrelic, parcel)
            if posted == ["early"]:
                events.put({"name": "late"})

        monkeypatch.setattr(NewRelic, "send", send_slowly)
        events.put({"name": "early"})
        running = asyncio.create_task(events.run(closing))
        await asyncio.sleep(0)
        closing.set()
        await running

    asyncio.run(run())
    assert posted == ["early", "late"]
