"""What a replay shows of itself."""

from flows.replay import show
from operators.schema.arrow import one_batch
from tests.samples import numbered


def test_samples_are_shown_by_their_clusters_and_not_by_the_topics_partition() -> None:
    """Of which one has those of several."""
    batch = one_batch([numbered([1, 2], "eu"), numbered([3], "us")])
    shown: list[tuple[str, int]] = []
    for one in (batch, numbered([4], "eu")):
        show(lambda cluster, part: shown.append((cluster, part.num_rows)), "recorded-0", one)
    assert shown == [("eu", 2), ("us", 1), ("eu", 1)]
