"""Samples that lie in Parquet files, read lazily, from a directory or an object store."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

import polars as pl
import pyarrow as pa

from flows.errors import CommandError
from operators.schema.arrow import TIMESTAMP, schema_of
from operators.schema.metrics import ENTITY_TYPES, STRING, EntityType
from operators.schema.secrets import without_password
from sinks.parquet.store import ANOMALIES, Store

_TYPES: dict[pa.DataType, pl.DataType] = {
    STRING: pl.Categorical(),
    TIMESTAMP: pl.Datetime("ms", "UTC"),
    pa.float64(): pl.Float64(),
    pa.int64(): pl.Int64(),
    pa.int32(): pl.Int32(),
    pa.int8(): pl.Int8(),
    pa.bool_(): pl.Boolean(),
}

_HEAD = 10_000
"""Rows of a file that are looked at to find the time between two ticks."""


class SamplesError(CommandError):
    """There is nothing to read; the message says what and what to do."""


@dataclass(frozen=True, slots=True)
class Samples:
    """The Parquet files below a URI, by entity type."""

    uri: str
    """As it may be shown."""
    files: Mapping[EntityType, Sequence[str]]
    """Sorted by date; an entity type without files is not in it."""
    storage: Mapping[str, str]
    """What an object store needs to be told, as polars names it."""
    truth: str | None
    """The table of simulated anomalies, where there is one."""

    def scan(self, entity_type: EntityType) -> pl.LazyFrame:
        """All samples of an entity type; columns: those of `schema_of` it.

        A column that a file of an earlier version lacks is null in it.
        """
        return self._scan(self.files.get(entity_type, ()), entity_type)

    def span(self) -> tuple[int, int]:
        """First and last timestamp of all samples, ms since 1970."""
        ends = pl.concat(
            self._scan(files, entity_type).select("timestamp")
            for entity_type, paths in self.files.items()
            for files in (_of_date(paths, _date(paths[0])), _of_date(paths, _date(paths[-1])))
        )
        time = pl.col("timestamp").cast(pl.Int64)
        first, last = ends.select(time.min().alias("first"), time.max()).collect().row(0)
        return int(first), int(last)

    def interval(self) -> int | None:
        """Smallest time between two ticks at the files' heads, in ms; None where there is one."""
        heads = [
            self._scan([path], entity_type).select("timestamp").head(_HEAD).unique()
            for entity_type, paths in self.files.items()
            for path in (paths[0], paths[-1])
        ]
        steps = [
            head.sort("timestamp").select(pl.col("timestamp").cast(pl.Int64).diff().min())
            for head in heads
        ]
        found = pl.concat(pl.collect_all(steps))["timestamp"].min()
        return found if isinstance(found, int) else None

    def anomalies(self) -> pl.DataFrame | None:
        """The table of simulated anomalies; columns: those of `operators.simulate.ANOMALIES`."""
        if self.truth is None:
            return None
        return pl.scan_parquet(self.truth, glob=False, storage_options=self._options).collect()

    @property
    def _options(self) -> dict[str, str] | None:
        return dict(self.storage) or None

    def _scan(self, files: Sequence[str], entity_type: EntityType) -> pl.LazyFrame:
        schema = {field.name: _TYPES[field.type] for field in schema_of(entity_type)}
        if not files:
            return pl.LazyFrame(schema=schema)
        return pl.scan_parquet(
            list(files),
            schema=schema,
            glob=False,
            hive_partitioning=False,
            missing_columns="insert",
            extra_columns="ignore",
            storage_options=self._options,
        )


def find_samples(uri: str) -> Samples:
    """The samples below a directory or a URI of an object store, as `sinks.parquet` writes them.

    Raises:
        SamplesError: there are none.
    """
    try:
        store = Store(uri)
        found = {entity_type: store.published(entity_type.label) for entity_type in ENTITY_TYPES}
        truth = [path for path in store.files(ANOMALIES) if path.endswith(".parquet")]
    except (ValueError, OSError) as error:
        raise SamplesError(f"{uri}: cannot be read: {error}") from error
    prefix = _prefix(uri)
    files = {t: [f"{prefix}/{path}" for path in paths] for t, paths in found.items() if paths}
    if not files:
        raise SamplesError(
            f"{uri}: no samples there (type=…/date=…/*.parquet); `mqpipe export --out {uri}` "
            "makes some, `mqpipe run` where it rolls its first file"
        )
    return Samples(
        uri=without_password(uri),
        files=files,
        storage=_storage(uri),
        truth=f"{prefix}/{truth[0]}" if truth else None,
    )


def _date(path: str) -> str:
    return path.rsplit("/", 2)[1]


def _of_date(paths: Sequence[str], date: str) -> list[str]:
    return [path for path in paths if _date(path) == date]


def _prefix(uri: str) -> str:
    if "://" not in uri:
        return str(Path(uri).absolute())
    parts = urlsplit(uri)
    if parts.scheme == "file":
        return unquote(parts.path).rstrip("/")
    place = _place(parts) if parts.scheme == "s3" else parts.netloc
    return f"{parts.scheme}://{place}{parts.path}".rstrip("/")


def _place(parts: SplitResult) -> str:
    """The bucket, without the key that may stand before it."""
    return parts.netloc.rpartition("@")[2]


def _storage(uri: str) -> dict[str, str]:
    """The key and the options that pyarrow takes from an S3 URI, in polars' words."""
    parts = urlsplit(uri)
    given = {key: values[-1] for key, values in parse_qs(parts.query).items()}
    if parts.scheme != "s3":
        return {}
    options = {}
    if parts.username and parts.password:
        options["aws_access_key_id"] = unquote(parts.username)
        options["aws_secret_access_key"] = unquote(parts.password)
    if "region" in given:
        options["aws_region"] = given["region"]
    if "endpoint_override" in given:
        scheme = given.get("scheme", "https")
        options["aws_endpoint_url"] = f"{scheme}://{given['endpoint_override']}"
        options["aws_allow_http"] = str(scheme == "http").lower()
    return options
