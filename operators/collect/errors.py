"""What went wrong in a collection: a class, and a sentence that says what to do."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from confluent_kafka import KafkaError, KafkaException

_CLASSES = {
    "timeout": ("_TIMED_OUT", "_TIMED_OUT_QUEUE", "REQUEST_TIMED_OUT", "_MSG_TIMED_OUT"),
    "refused": ("_TRANSPORT", "_ALL_BROKERS_DOWN", "NETWORK_EXCEPTION", "_DESTROY"),
    "resolve": ("_RESOLVE",),
    "tls": ("_SSL",),
    "auth": (
        "_AUTHENTICATION",
        "SASL_AUTHENTICATION_FAILED",
        "UNSUPPORTED_SASL_MECHANISM",
        "ILLEGAL_SASL_STATE",
    ),
    "authorization": (
        "TOPIC_AUTHORIZATION_FAILED",
        "GROUP_AUTHORIZATION_FAILED",
        "CLUSTER_AUTHORIZATION_FAILED",
    ),
    "unavailable": (
        "COORDINATOR_NOT_AVAILABLE",
        "COORDINATOR_LOAD_IN_PROGRESS",
        "NOT_COORDINATOR",
        "LEADER_NOT_AVAILABLE",
        "NOT_LEADER_FOR_PARTITION",
        "BROKER_NOT_AVAILABLE",
        "REPLICA_NOT_AVAILABLE",
        "UNKNOWN_TOPIC_OR_PART",
        "_WAIT_COORD",
        "_NO_OFFSET",
        "_DESTROY_BROKER",  # it left the cluster while it was asked
    ),
    "config": ("_INVALID_ARG", "_CONFLICT", "_UNKNOWN_BROKER"),
    "unsupported": ("_UNSUPPORTED_FEATURE", "UNSUPPORTED_VERSION"),
}
_CLASS_OF = {name: class_ for class_, names in _CLASSES.items() for name in names}

_ADVICE = {
    "timeout": "no answer in time: is a broker hung, the network slow, or the cluster too big "
    "for the pool's timeout?",
    "refused": "cannot reach it: check `bootstrap_servers`, the brokers' advertised listeners, "
    "firewalls, and whether the listener wants TLS or SASL (`security.protocol`)",
    "resolve": "check the host names in `bootstrap_servers` and the advertised listeners",
    "tls": "check `ssl.ca.location`, the client's certificate and key, and that the listener "
    "speaks TLS",
    "auth": "check in `client` the `sasl.mechanism`, and `sasl.username` and `sasl.password`, or "
    "with OAUTHBEARER what `sasl.oauthbearer.…` says",
    "config": "check the properties in `client`",
}

_LASTING = frozenset({"auth", "authorization", "config", "unsupported"})
"""Classes of errors that another attempt will not mend."""

UNREACHED = frozenset({"timeout", "refused", "unavailable"})
"""Classes of errors with which a broker that is asked has said nothing."""

SHOWN = 3
"""How many causes of a partial scrape are named in full."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A part of a tick that is missing: its class and, in words, what and why."""

    error_class: str
    text: str


class CollectionError(Exception):
    """A tick, or a part of it, could not be collected.

    `error_class` is one of timeout, refused, resolve, tls, auth, authorization, unavailable,
    unsupported, config, page, unknown. `retryable` says whether another attempt may help.
    """

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.problem = problem

    def __str__(self) -> str:
        return self.problem.text

    @property
    def error_class(self) -> str:
        """The problem's class."""
        return self.problem.error_class

    @property
    def retryable(self) -> bool:
        """Whether another attempt may help."""
        return self.error_class not in _LASTING


def kafka_error(error: BaseException | KafkaError) -> KafkaError | None:
    """The KafkaError in an exception of confluent-kafka's; None where there is none."""
    if isinstance(error, KafkaError):
        return error
    if isinstance(error, KafkaException) and error.args and isinstance(error.args[0], KafkaError):
        return error.args[0]
    return None


def problem_of(
    error: BaseException | KafkaError,
    what: str,
    needs: str = "",
    cause: Problem | None = None,
) -> Problem:
    """What an error of the client's means.

    `what` says what was being done and to what. `needs` names the permission that it takes:
    `Describe on Topic orders`. `cause` is what a connection reported meanwhile: a request that
    timed out because the password is wrong is an auth error.
    """
    if isinstance(error, CollectionError):
        return error.problem
    found = kafka_error(error)
    if found is None:
        if isinstance(error, TimeoutError):
            return Problem("timeout", f"{what}: {_ADVICE['timeout']}")
        return Problem("unknown", f"{what}: {type(error).__name__}: {error}")
    class_ = class_of(found)
    why = _why(found)
    if class_ in ("timeout", "refused") and cause is not None:
        # The cause of the silence says more than the silence.
        class_, why = cause.error_class, cause.text
    if class_ == "authorization":
        return Problem(class_, f"{what}: not permitted ({found.name()}); grant {needs}")
    advice = _ADVICE.get(class_)
    return Problem(class_, f"{what}: {why}" + (f"; {advice}" if advice else ""))


def _why(error: KafkaError) -> str:
    """What an error says; where that only names the request, what its code stands for too."""
    said: str = error.str()
    return said + KafkaError(error.code()).str() if not said or said.endswith(": ") else said


def class_of(error: KafkaError) -> str:
    """The class of an error of librdkafka's or of a broker's."""
    return _CLASS_OF.get(error.name(), "unknown")


def summary(problems: Iterable[Problem]) -> tuple[str | None, str | None]:
    """Class and text for the problems of a partial scrape; the class is the most frequent one.

    Equal texts are named once, and only the first few of them in full.
    """
    problems = list(problems)
    if not problems:
        return None, None
    class_ = Counter(problem.error_class for problem in problems).most_common(1)[0][0]
    texts = list(dict.fromkeys(problem.text for problem in problems))
    text = " | ".join(texts[:SHOWN])
    if len(texts) > SHOWN:
        text += f" | and {len(texts) - SHOWN} more"
    return class_, text
