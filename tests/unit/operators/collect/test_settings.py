"""The settings of a collected cluster."""

import pytest
from pydantic import ValidationError

from operators.collect.settings import ClusterSettings


def cluster(**more: object) -> ClusterSettings:
    return ClusterSettings.model_validate(
        {"name": "prod-eu", "bootstrap_servers": "b-1:9092,b-2:9092", **more}
    )


def test_a_client_property_is_never_shown() -> None:
    """Neither repr nor str nor a dump as JSON shows a value of `client`."""
    settings = cluster(client={"sasl.password": "hunter2"})
    shown = repr(settings) + str(settings) + settings.model_dump_json()
    assert "hunter2" not in shown


def test_client_config_has_all_properties_in_clear() -> None:
    """The client gets its properties as librdkafka writes them, and the bootstrap servers."""
    keepalive = "socket.keepalive.enable"
    settings = cluster(client={"sasl.password": "hunter2", "socket.timeout.ms": 5, keepalive: True})
    assert settings.properties == {
        "sasl.password": "hunter2",
        "socket.timeout.ms": "5",
        keepalive: "true",
        "bootstrap.servers": "b-1:9092,b-2:9092",
    }


def test_what_only_tunes_librdkafka_is_its_own_to_judge_where_it_probes() -> None:
    """Else it has no meaning, and so no fault."""
    client = {"linger.ms": "abc"}
    cluster(client=client)
    with pytest.raises(ValidationError, match=r"`linger\.ms`: Invalid value"):
        cluster(client=client, probe={})


@pytest.mark.parametrize(
    ("name", "selected"),
    [("orders", True), ("pre-orders", True), ("__consumer_offsets", False), ("orders-test", False)],
)
def test_a_name_is_selected_by_an_include_and_no_exclude(name: str, selected: bool) -> None:
    """Expressions are searched for anywhere in the name."""
    settings = cluster(topics={"include": ["orders", "^__"], "exclude": ["^__", "-test$"]})
    assert settings.topics.selects(name) is selected


def test_by_default_internal_topics_are_left_out() -> None:
    """Topics that start with two underscores are excluded; no group is."""
    settings = cluster()
    assert [settings.topics.selects(n) for n in ("a", "__b")] == [True, False]
    assert [settings.groups.selects(n) for n in ("a", "__b")] == [True, True]


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "a:b"},
        {"name": "a/b"},
        {"name": ""},
        {"bootstrap_servers": ""},
        {"bootstrap_servers": "a:1,,b:2"},
        {"topics": {"include": ["("]}},
        {"broker_metrics": {1: "broker-1:7071"}},
        {"broker_metrics": {"urls": {1: "http://b:1/"}, "port": 11001}},
        {"broker_metrics": {"path": "/metrics"}},
        {"broker_metrics": {"port": 11001, "path": "metrics"}},
        {"broker_metrics": {"port": 11001, "bearer_token": "two\nlines"}},
        {"broker_metrics": {"port": 1, "bearer_token": "a", "bearer_token_file": "b"}},
        {"broker_metrics": {"port": 1, "basic_auth": {"username": "a"}}},
        {"broker_metrics": {"urls": {1: "http://me:secret@b:1/"}, "bearer_token": "a"}},
        {"broker_metrics": {"port": 1, "tls": {"key": "key.pem"}}},
        {"priority": "urgent"},
        {"colour": "red"},
    ],
)
def test_what_makes_no_sense_is_refused(wrong: dict[str, object]) -> None:
    """Names with separators, empty servers, broken expressions and URLs, unknown keys."""
    with pytest.raises(ValidationError):
        cluster(**wrong)


@pytest.mark.parametrize(
    ("wrong", "place", "says"),
    [
        ({"client": {"security.protocl": "SSL"}}, "client", "did you mean `security.protocol`?"),
        ({"client": {"ssl.engine.id": "x"}}, "client", "has no counterpart"),
        ({"bootstrap_servers": "b-1:port"}, "bootstrap_servers", "`host:port`"),
    ],
)
def test_a_client_that_could_not_connect_is_refused(
    wrong: dict[str, object], place: str, says: str
) -> None:
    """With the configuration, at the place of the property."""
    with pytest.raises(ValidationError) as refused:
        cluster(**wrong)
    (error,) = refused.value.errors()
    ((path, text),) = error["ctx"]["error"].misfits
    assert (path[0], says in text) == (place, True), text
