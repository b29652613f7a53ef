"""What went wrong in a collection: a class, and a sentence that says what to do."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from operators.collect.client.frames import GarbledError
from operators.protocol.errors import RequestError, error_class, error_name

_ADVICE = {
    "timeout": "no answer in time: is a broker hung, the network slow, or the cluster too big "
    "for the pool's timeout?",
    "refused": "check `bootstrap_servers`, the advertised listeners, firewalls, and "
    "`security.protocol`",
    "resolve": "check the host names in `bootstrap_servers` and the advertised listeners",
    "tls": "check `ssl.ca.location`, the client's certificate and key, and that the listener "
    "speaks TLS",
    "auth": "check in `client` the `sasl.mechanism`, and `sasl.username` and `sasl.password`, or "
    "with OAUTHBEARER what `sasl.oauthbearer.…` says",
    "config": "check the properties in `client`",
    "garbage": "is that a Kafka broker?",
}

_LASTING = frozenset({"auth", "authorization", "config", "unsupported"})
"""Classes of errors that another attempt will not mend."""

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
    unsupported, config, garbage, page, unknown. `retryable` says whether another attempt may help.
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


def problem(class_: str, why: str, what: str, needs: str = "") -> Problem:
    """A problem of this class, for this reason.

    `what` says what was being done and to what. `needs` names the permission that it takes:
    `Describe on Topic orders`.
    """
    if class_ == "authorization":
        return Problem(class_, f"{what}: not permitted ({why}); grant {needs}")
    advice = _ADVICE.get(class_)
    return Problem(class_, f"{what}: {why}" + (f"; {advice}" if advice else ""))


def problem_of_code(code: int, what: str, needs: str = "", said: str | None = None) -> Problem:
    """What one of Kafka's error codes means; `said` is the broker's own text, where it gave one."""
    name = error_name(code)
    return problem(error_class(code), f"{name}: {said}" if said else name, what, needs)


def problem_of(error: BaseException, what: str, needs: str = "") -> Problem:
    """What an error of the client's means; see `problem`."""
    match error:
        case CollectionError():
            return error.problem
        case RequestError():
            return problem(error.error_class, error.text, what, needs)
        case GarbledError():
            return problem("garbage", str(error), what)
        case TimeoutError():
            return Problem("timeout", f"{what}: {_ADVICE['timeout']}")
    return Problem("unknown", f"{what}: {type(error).__name__}: {error}")


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
