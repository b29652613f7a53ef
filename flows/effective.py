"""A configuration as it is in effect: with every default, and with no secret."""

from typing import Any

import yaml

from flows.config import Config


def effective(config: Config) -> dict[str, Any]:
    """Its keys as the file has them; durations in seconds, sizes in bytes, secrets as asterisks."""
    reported: dict[str, Any] = config.model_dump(mode="json", by_alias=True)
    for fleet, settings in zip(
        reported["simulation"]["fleets"], config.simulation.fleets, strict=True
    ):
        for name in settings.foreign:
            del fleet[name]
    return reported


def as_yaml(config: Config) -> str:
    """The same as YAML; where it holds no secret, a configuration that does what this one does."""
    return yaml.safe_dump(effective(config), sort_keys=False, allow_unicode=True)
