"""What is asked of brokers: one table, and the classes that write and read the messages."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

_OWN_SCHEMAS = "operators.protocol.schemas"


@dataclass(frozen=True, slots=True)
class RequestType:
    """A kind of request.

    `highest` is the newest version that is spoken here, `flexible` the first one with tagged
    fields. The classes come from `module` of kafka-python or, where that lacks them, from the
    schemas beside this file.
    """

    name: str
    key: int
    highest: int
    flexible: int
    module: str | None = None

    def classes(self) -> tuple[Any, Any]:
        """The classes of the request and of its answer; kafka-python is imported by the first."""
        return _classes(self)

    def written(self, version: int, fields: Mapping[str, Any]) -> bytes:
        """A request without its header; parts of it may be mappings too."""
        request, _ = self.classes()
        filled = _filled(request, fields)
        return bytes(request(version=version, **filled).encode(version=version))


def _table(*messages: RequestType) -> dict[str, RequestType]:
    return {message.name: message for message in messages}


MESSAGES = _table(
    # v10 would need each partition's time limit for tiered storage.
    RequestType("ListOffsets", 2, 9, 6, "kafka.protocol.consumer"),
    RequestType("Metadata", 3, 12, 9, "kafka.protocol.metadata"),
    # v10 names topics by their ids alone.
    RequestType("OffsetFetch", 9, 9, 6, "kafka.protocol.consumer"),
    RequestType("FindCoordinator", 10, 6, 3, "kafka.protocol.metadata"),
    RequestType("DescribeGroups", 15, 6, 5, "kafka.protocol.admin"),
    RequestType("ListGroups", 16, 5, 3, "kafka.protocol.admin"),
    RequestType("SaslHandshake", 17, 1, 1 << 15, "kafka.protocol.sasl"),
    RequestType("ApiVersions", 18, 3, 3, "kafka.protocol.metadata"),
    RequestType("CreateTopics", 19, 7, 5, "kafka.protocol.admin"),
    RequestType("DescribeConfigs", 32, 4, 4, "kafka.protocol.admin"),
    RequestType("DescribeLogDirs", 35, 4, 2, "kafka.protocol.admin"),
    RequestType("SaslAuthenticate", 36, 2, 2, "kafka.protocol.sasl"),
    RequestType("DescribeCluster", 60, 2, 0, "kafka.protocol.admin"),
    RequestType("ConsumerGroupDescribe", 69, 1, 0),
    RequestType("ShareGroupDescribe", 77, 1, 0),
    RequestType("StreamsGroupDescribe", 89, 0, 0),
    RequestType("DescribeShareGroupOffsets", 90, 1, 0),
)
"""By Kafka's name. Versions are chosen for what their answers hold, not because there are newer."""


def _filled(of: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a structure, with structures in place of the mappings in them."""
    return {name: _part(of.fields.get(name), value) for name, value in given.items()}


def _part(field: Any, value: Any) -> Any:
    if isinstance(value, Mapping):
        return field.data_class(**_filled(field.data_class, value))
    if isinstance(value, list | tuple) and value and isinstance(value[0], Mapping):
        return [_part(field, one) for one in value]
    return value


@cache
def _classes(message: RequestType) -> tuple[Any, Any]:
    names = (f"{message.name}Request", f"{message.name}Response")
    if message.module is not None:
        module = import_module(message.module)
        return getattr(module, names[0]), getattr(module, names[1])
    from kafka.protocol.api_message import ApiMessage

    request, response = (
        type(ApiMessage)(name, (ApiMessage,), {}, load_json=_OWN_SCHEMAS) for name in names
    )
    return request, response
