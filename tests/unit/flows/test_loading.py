"""Reading a configuration, and what its faults look like."""

from pathlib import Path
from typing import Self

import pytest
from pydantic import model_validator

from flows.errors import ConfigError
from flows.loading import load, parse
from operators.schema.nearest import suggestion
from operators.schema.settings import Duration, MisfitError, Settings


class Pool(Settings):
    size: int | str = 1
    timeout: Duration = 10.0


class Pools(Settings):
    topics: Pool = Pool()


class Root(Settings):
    name: str = "x"
    port: int = 0
    pools: Pools = Pools()
    extra: Pools | None = None
    items: tuple[Pool, ...] = ()


def faults(text: str, environment: dict[str, str] | None = None) -> list[tuple[str, int, str]]:
    with pytest.raises(ConfigError) as caught:
        parse(Root, text, "c.yaml", environment or {})
    return [(f.path, f.line, f.message) for f in caught.value.faults]


def test_unknown_key_names_path_line_and_nearest_name() -> None:
    """An unknown key is refused with where it stands and what was probably meant."""
    text = "name: a\npools:\n  topics:\n    siez: 3\n"
    assert faults(text) == [("pools.topics.siez", 4, "unknown key; did you mean `size`?")]


def test_unknown_key_inside_optional_section_and_list() -> None:
    """Hints also come inside optional sections and lists."""
    text = "extra: {topic: {}}\nitems:\n  - {tiemout: 1s}\n"
    assert faults(text) == [
        ("extra.topic", 1, "unknown key; did you mean `topics`?"),
        ("items[0].tiemout", 3, "unknown key; did you mean `timeout`?"),
    ]


def test_a_value_of_a_wrong_type_is_answered_by_what_it_must_be() -> None:
    """In plain words; where there are several ways to write it, all of them."""
    text = "name: 1\nport: eight\npools: {topics: {size: 1.5}}\nitems: x\nextra: [1]\n"
    assert faults(text) == [
        ("name", 1, "must be text (given: 1)"),
        ("port", 2, "must be a whole number (given: 'eight')"),
        ("pools.topics.size", 3, "must be a whole number or text (given: 1.5)"),
        ("items", 4, "must be a list (given: 'x')"),
        ("extra", 5, "must be keys with values"),
    ]


def test_all_faults_come_at_once_in_order_of_lines() -> None:
    """Every fault of a file is reported in one go."""
    text = "port: eight\npools:\n  topics: {timeout: soon}\nnam: y\n"
    assert [(path, line) for path, line, _ in faults(text)] == [
        ("port", 1),
        ("pools.topics.timeout", 3),
        ("nam", 4),
    ]


def test_missing_variable_is_a_fault_with_its_name_and_line() -> None:
    """A variable that is not set and has no default is a fault, not an empty string."""
    assert faults("port: 1\nname: ${MQ_NAME}\n") == [
        ("name", 2, "environment variable `MQ_NAME` is not set; set it or write ${MQ_NAME:-…}")
    ]


def test_variables_are_filled_in_with_types_and_defaults() -> None:
    """A plain variable is read like a value; a quoted one stays text; $$ is a dollar."""
    text = 'port: ${PORT}\nname: "${NAME:-a}-$${x}"\n'
    config = parse(Root, text, "c.yaml", {"PORT": "8"})
    assert (config.port, config.name) == (8, "a-${x}")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a: b", "a: b"),
        ("[::1]:9092", "[::1]:9092"),
        ("@x #y", "@x #y"),
        ("0123", "0123"),
        ("1_000", "1_000"),
        ("12:30", "12:30"),
        ("1.50", "1.50"),
    ],
)
def test_a_plain_variable_is_one_value_and_no_yaml(value: str, text: str) -> None:
    """A password without quotes is what it is, and no number that is written otherwise."""
    assert parse(Root, "name: ${X}\n", "c.yaml", {"X": value}).name == text


def test_what_only_looks_like_a_date_is_reported_where_it_stands() -> None:
    """YAML makes dates of such words; one that there is not is a value like any other."""
    assert parse(Root, "name: 2026-13-01\n", "c.yaml", {}).name == "2026-13-01"
    assert faults("port: 2026-13-01\n") == [
        ("port", 1, "must be a whole number (given: '2026-13-01')")
    ]


def test_a_key_that_is_no_word_is_a_fault() -> None:
    """Where a bracket went astray."""
    assert faults("name: a\n? [port]\n: 1\n") == [
        ("", 2, "a key is a word, not a list or a mapping")
    ]


def test_an_anchor_within_itself_is_a_fault() -> None:
    """It would be read for ever."""
    message = "what an anchor stands for holds itself, or is nested too deeply to be read"
    assert faults("items: &x [*x]\n") == [("", 0, message)]


class Cast(Settings):
    """Settings whose parts name each other."""

    fleets: tuple[str, ...] = ()
    like: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _fits(self) -> Self:
        strange = [(n, name) for n, name in enumerate(self.like) if name not in self.fleets]
        if strange:
            raise MisfitError([(("like", n), suggestion(name, self.fleets)) for n, name in strange])
        return self


class Play(Settings):
    cast: Cast = Cast()


def test_names_that_lead_nowhere_are_reported_each_where_it_stands() -> None:
    """All at once, with path, line and the nearest right name."""
    text = "cast:\n  fleets: [sim-eu]\n  like:\n    - sim-ue\n    - sim-eu\n    - x\n"
    with pytest.raises(ConfigError) as caught:
        parse(Play, text, "c.yaml", {})
    assert str(caught.value).splitlines() == [
        "c.yaml:4: cast.like[0]: did you mean `sim-eu`?",
        "c.yaml:6: cast.like[2]: there are sim-eu",
    ]


def test_where_no_name_is_near_all_are_reported_the_nearest_first() -> None:
    """As of anomalies' kinds, which are many."""
    kinds = ["spike", "consumer_stall", "slow_drain", *(f"{n}-{n}" for n in range(20))]
    reported = suggestion("slow_consumer", kinds)
    assert reported.startswith("there are consumer_stall, slow_drain, spike, ")
    assert (reported.count(","), reported.endswith(", …")) == (10, True)
    assert suggestion("zz", ["b", "a"]) == "there are a, b"


def test_key_written_twice_is_refused() -> None:
    """YAML would keep the last one in silence."""
    assert faults("port: 1\nname: a\nport: 2\n") == [("port", 3, "written twice (also line 1)")]


def test_broken_yaml_names_its_line() -> None:
    """What is not YAML is said with its line."""
    [(path, line, message)] = faults("name: a\npools: {topics: [\n")
    assert (path, line > 0, message.startswith("not YAML")) == ("", True, True)


def test_message_starts_with_file_and_line() -> None:
    """The text of the error is what editors can jump to."""
    with pytest.raises(ConfigError, match=r"^c\.yaml:1: nam: unknown key") as caught:
        parse(Root, "nam: a", "c.yaml", {})
    assert str(caught.value) == "c.yaml:1: nam: unknown key; did you mean `name`?"


def test_file_that_is_not_there_says_how_to_get_one(tmp_path: Path) -> None:
    """A missing file is a configuration error that points to init."""
    with pytest.raises(ConfigError, match=r"cannot be read.*mqpipe init"):
        load(Root, tmp_path / "none.yaml")


def test_empty_file_is_the_default_configuration() -> None:
    """Nothing written means every default."""
    assert parse(Root, "", "c.yaml", {}) == Root()


def test_a_file_that_never_ends_is_no_configuration(tmp_path: Path) -> None:
    """Nor is one that is larger than any."""
    with pytest.raises(ConfigError, match="/dev/zero: is of more than 16 MiB"):
        load(Root, Path("/dev/zero"), {})
    file = tmp_path / "c.yaml"
    file.write_bytes(b"\xef\xbb\xbfname: a\n")
    assert load(Root, file, {}).name == "a", "some editors begin a file with a mark"
