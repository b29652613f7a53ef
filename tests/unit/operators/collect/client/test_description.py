"""What coordinators say of groups' members, whatever the type of group."""

from types import SimpleNamespace as Answer
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from kafka.protocol.consumer.metadata import ConsumerProtocolAssignment

from operators.collect.client.description import (
    ClassicDescriptions,
    Member,
    consumer_group,
    share_group,
    streams_group,
)
from operators.collect.client.frames import DescribedGroup, DescribedMember


def assignment(of: dict[str, list[int]]) -> bytes:
    """As a client of the consumer protocol writes it."""
    Topic = ConsumerProtocolAssignment.TopicPartition
    written = ConsumerProtocolAssignment(
        assigned_partitions=[Topic(topic=t, partitions=p) for t, p in of.items()], user_data=b""
    )
    return b"\0\3" + bytes(written.encode(version=3)).removeprefix(b"\0\3")


def classic(assigned: bytes) -> DescribedGroup:
    member = DescribedMember("m-1", "static", "app", "/10.0.0.7", assigned)
    return DescribedGroup("g", 0, "Stable", "range", (member,), 0)


@given(
    st.dictionaries(
        st.text(max_size=5), st.lists(st.integers(0, 2**31 - 1), max_size=5), max_size=4
    )
)
def test_a_classic_member_has_the_partitions_that_its_leader_assigned(
    of: dict[str, list[int]],
) -> None:
    """Brokers hand it on in the clients' own format."""
    group = ClassicDescriptions().of(classic(assignment(of)))
    assert group.members[0].assigned == tuple((t, tuple(p)) for t, p in of.items())
    assert (group.state, group.assignor) == ("Stable", "range")


@given(st.binary(max_size=40))
def test_an_assignment_that_cannot_be_read_is_none(data: bytes) -> None:
    """Whatever a custom client puts there costs its partitions and nothing else."""
    assert isinstance(ClassicDescriptions().of(classic(data)).members[0].assigned, tuple)


def test_a_group_that_has_not_changed_is_the_same_object() -> None:
    """What is made of it need not be made again; groups that are gone are forgotten."""
    known, group = ClassicDescriptions(), classic(assignment({"a": [0]}))
    known.reported["g"] = b"", group
    first = known.of(group)
    assert known.of(group) is first
    known.keep(["other"])
    assert known.reported == {}
    assert known.of(group) is not first


def group_answer(**more: Any) -> Any:
    return Answer(group_state="Reconciling", assignor_name="uniform", **more)


def member(**more: Any) -> Any:
    return Answer(member_id="m-1", client_id="app", client_host="/10.0.0.7", **more)


ASSIGNED = Answer(topic_partitions=[Answer(topic_name="a", partitions=[0, 2])])


def test_members_of_consumer_groups_have_what_is_reported_of_them() -> None:
    """The present assignment, and the static id where there is one."""
    group = consumer_group(group_answer(members=[member(instance_id="one", assignment=ASSIGNED)]))
    assert group.members == (Member("m-1", "app", "/10.0.0.7", "one", (("a", (0, 2)),)),)
    assert (group.state, group.assignor) == ("Reconciling", "uniform")


def test_partitions_of_share_groups_may_have_several_members() -> None:
    """Each partition counts once."""
    both = [member(assignment=ASSIGNED), member(assignment=ASSIGNED)]
    group = share_group(group_answer(members=both))
    assert set(group.owners) == {("a", 0), ("a", 2)}
    assert group.members[0].static_id is None


def test_members_of_streams_groups_have_what_their_active_tasks_read() -> None:
    """Source and repartition topics of the subtopology; standby tasks read nothing."""
    topology = Answer(
        subtopologies=[
            Answer(
                subtopology_id="0",
                source_topics=["in"],
                repartition_source_topics=[Answer(name="again")],
            )
        ]
    )
    tasks = Answer(
        active_tasks=[Answer(subtopology_id="0", partitions=[1])],
        standby_tasks=[Answer(subtopology_id="0", partitions=[2])],
    )
    group = streams_group(
        group_answer(topology=topology, members=[member(instance_id=None, assignment=tasks)])
    )
    assert set(group.owners) == {("in", 1), ("again", 1)}
    assert group.topics == {"in", "again"}


def test_a_streams_group_without_a_topology_has_members_without_partitions() -> None:
    """As one that has just begun, or has gone."""
    tasks = Answer(active_tasks=[Answer(subtopology_id="0", partitions=[1])])
    group = streams_group(
        group_answer(topology=None, members=[member(instance_id=None, assignment=tasks)])
    )
    assert (len(group.members), dict(group.owners)) == (1, {})
