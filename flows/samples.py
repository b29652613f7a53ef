"""Samples that lie in Parquet files, read lazily, from a directory or an object store."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

import polars as pl

from flows.errors import CommandError
from flows.foreign_files import (
    as_samples,
    in_milliseconds,
    is_as_written,
    lacking,
    polars_schema,
)
from operators.schema.metrics import ENTITY_TYPES, EntityType
from operators.schema.secrets import without_password
from sinks.parquet.store import ANOMALIES, Store, family_of

_OF_ANOMALIES: Mapping[str, pl.DataType] = {
    **dict.fromkeys(("kind", "label", "cluster_name", "entity"), pl.String()),
    "entities": pl.List(pl.String()),
    **dict.fromkeys(("start", "peak", "end"), pl.Datetime("ms", "UTC")),
}
"""Columns of the table of anomalies that are read, none of which has nulls."""

_LATEST = 253_402_300_799_999
"""The end of the year 9999, in ms since 1970."""

_HEAD = 10_000
"""Rows of a file that are looked at to find the time between two ticks."""


class SamplesError(CommandError):
    """There is nothing to read; the message says what and what to do."""


@contextmanager
def clear_read_errors(uri: str) -> Iterator[None]:
    """While samples are read: what is wrong with a file is said clearly.

    Raises:
        SamplesError: a file is gone, or damaged, or not what its name says.
    """
    try:
        yield
    except pl.exceptions.PolarsError as error:
        reason = without_password(str(error).partition("\n")[0])
        raise SamplesError(
            f"{without_password(uri)}: its files cannot be read: {reason}; give those that mqpipe "
            "did not write names of their own, and move damaged ones away"
        ) from error


@dataclass(frozen=True, slots=True)
class Samples:
    """The Parquet files below a URI, by entity type."""

    uri: str
    """As it may be shown."""
    files: Mapping[EntityType, Sequence[str]]
    """Sorted by date; an entity type without files is not in it."""
    storage: Mapping[str, str]
    """What an object store needs to know, as polars names it."""
    anomaly_table: str | None
    """The table of simulated anomalies, where there is one."""
    rewritten: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Files that others rewrote, and their columns."""

    def scan(self, entity_type: EntityType) -> pl.LazyFrame:
        """All samples of an entity type; columns: those of `schema_of` it.

        A column that a file of an earlier version lacks is null in it.
        """
        return self._scan(self.files.get(entity_type, ()), entity_type)

    def of(self, entity_type: EntityType, files: Sequence[str]) -> pl.DataFrame:
        """All samples of some files of an entity type."""
        return self._scan(files, entity_type).collect()

    def last(self, entity_type: EntityType, number: int, entity: str | None) -> pl.DataFrame:
        """The latest samples of an entity type, so many of them; of an entity and those below it."""
        files = self.files.get(entity_type, ())
        latest = _of_date(files, _date(files[-1])) if files else []
        scan = self._scan(latest, entity_type)
        if entity is not None:
            name = pl.col("entity_name").cast(pl.String)
            scan = scan.filter((name == entity) | name.str.starts_with(f"{entity}/"))
        return scan.top_k(number, by="timestamp").collect()

    def span(self) -> tuple[int, int]:
        """First and last timestamp of all samples, ms since 1970.

        Raises:
            SamplesError: no file has any row.
        """
        ends = {
            entity_type: [*_of_date(paths, _date(paths[0])), *_of_date(paths, _date(paths[-1]))]
            for entity_type, paths in self.files.items()
        }
        first, last = self._first_and_last(ends)
        if first is None:  # no row at either end
            first, last = self._first_and_last(self.files)
        if first is None or last is None:
            raise SamplesError(f"{self.uri}: its files hold no sample")
        for moment in (first, last):
            if abs(moment) > _LATEST:
                raise SamplesError(
                    f"{self.uri}: a sample's time is {moment} ms since 1970, which is none; where others "
                    "wrote these files, the unit of `timestamp` may be another"
                )
        return first, last

    def _first_and_last(
        self, files: Mapping[EntityType, Sequence[str]]
    ) -> tuple[int | None, int | None]:
        scans = [self._scan(paths, entity_type) for entity_type, paths in files.items()]
        time = pl.col("timestamp").cast(pl.Int64)
        frame = pl.concat(scan.select("timestamp") for scan in scans)
        first, last = frame.select(time.min().alias("first"), time.max()).collect().row(0)
        return first, last

    def interval(self) -> int | None:
        """Smallest time between two ticks at the files' heads, in ms; None where there is one."""
        heads = [
            self._scan([path], entity_type).select("timestamp").head(_HEAD).unique()
            for entity_type, paths in self.files.items()
            for path in (paths[0], paths[-1])
        ]
        found = _smallest_step(heads)
        if found is None:  # where these files have no rows, all count
            whole = (
                self._scan(paths, type_).select("timestamp").unique()
                for type_, paths in self.files.items()
            )
            found = _smallest_step(list(whole))
        return found

    def anomalies(self) -> pl.DataFrame | None:
        """The table of simulated anomalies; columns: those of `operators.simulate.ANOMALIES`."""
        if self.anomaly_table is None:
            return None
        table = pl.scan_parquet(
            self.anomaly_table, glob=False, storage_options=self._options
        ).collect()
        missing = [name for name in _OF_ANOMALIES if name not in table.columns]
        if missing:
            raise self._no_anomalies(f"it lacks {', '.join(missing)}")
        table = in_milliseconds(table)
        for name, dtype in _OF_ANOMALIES.items():
            try:
                table = table.with_columns(pl.col(name).cast(dtype))
            except pl.exceptions.PolarsError as error:
                raise self._no_anomalies(f"`{name}` is of another type") from error
            if table[name].has_nulls():
                raise self._no_anomalies(f"`{name}` is null in a row")
        return table

    def _no_anomalies(self, reason: str) -> SamplesError:
        return SamplesError(
            f"{without_password(self.anomaly_table or '')}: is no table of anomalies: {reason}"
        )

    @property
    def _options(self) -> dict[str, str] | None:
        return dict(self.storage) or None

    def _scan(self, files: Sequence[str], entity_type: EntityType) -> pl.LazyFrame:
        schema = polars_schema(entity_type)
        if not files:
            return pl.LazyFrame(schema=schema)
        ours = [file for file in files if file not in self.rewritten]
        scans = []
        if ours:
            scans = [
                pl.scan_parquet(
                    ours,
                    schema=schema,
                    glob=False,
                    hive_partitioning=False,
                    missing_columns="insert",
                    extra_columns="ignore",
                    storage_options=self._options,
                )
            ]
        scans += [
            as_samples(
                pl.scan_parquet(
                    file, glob=False, hive_partitioning=False, storage_options=self._options
                ),
                self.rewritten[file],
                entity_type,
            )
            for file in files
            if file in self.rewritten
        ]
        return pl.concat(scans) if len(scans) > 1 else scans[0]


def _smallest_step(times: Sequence[pl.LazyFrame]) -> int | None:
    """The smallest difference, in ms, between two of the timestamps of a frame."""
    steps = [
        frame.sort("timestamp").select(pl.col("timestamp").cast(pl.Int64).diff().min())
        for frame in times
    ]
    found = pl.concat(pl.collect_all(steps))["timestamp"].min()
    return found if isinstance(found, int) else None


def find_samples(uri: str) -> Samples:
    """The samples below a directory or a URI of an object store, as `sinks.parquet` writes them.

    Raises:
        SamplesError: there are none.
    """
    try:
        store = Store(uri)
        files, rewritten, others = _classified(store)
        tables = [path for path in store.files(ANOMALIES) if path.endswith(".parquet")]
    except (ValueError, OSError) as error:
        raise SamplesError(f"{uri}: cannot be read: {error}") from error
    if not files and others:
        path, reason = next(iter(others.items()))
        more = f", and {len(others) - 1:,} more files are alike" if len(others) > 1 else ""
        raise SamplesError(f"{uri}: no samples there: {path} {reason}{more}")
    if not files:
        raise SamplesError(
            f"{uri}: no samples there (type=…/date=…/*.parquet); `mqpipe export --out {uri}` "
            "makes some; a run says when its first files are there"
        )
    prefix = _prefix(uri)
    return Samples(
        uri=without_password(uri),
        files={t: [f"{prefix}/{path}" for path in paths] for t, paths in files.items()},
        storage=_storage(uri),
        anomaly_table=f"{prefix}/{tables[0]}" if tables else None,
        rewritten={f"{prefix}/{path}": columns for path, columns in rewritten.items()},
    )


def _classified(
    store: Store,
) -> tuple[dict[EntityType, list[str]], dict[str, Sequence[str]], dict[str, str]]:
    """Files of samples by entity type, sorted by date.

    Besides those of them that others wrote, with columns; and files without samples, with the reason.

    Of the files that one run wrote of one partition, one is looked at: they are alike.
    """
    found: dict[EntityType, list[str]] = {}
    rewritten: dict[str, Sequence[str]] = {}
    families: dict[tuple[EntityType, str], list[str]] = {}
    others: list[str] = []
    strange: dict[str, str] = {}
    by_label = {entity_type.label: entity_type for entity_type in ENTITY_TYPES}
    for path in store.parquet_files():
        entity_type = by_label.get(_label(path) or "")
        family = family_of(path)
        if entity_type is not None and family is not None:
            families.setdefault((entity_type, family), []).append(path)
        elif all("=" in folder for folder in path.split("/")[:-1]):
            # Other folders hold something of their own: another export, or dead letters.
            others.append(path)
    with ThreadPoolExecutor(store.slots) as threads:
        heads = threads.map(store.schema, (paths[0] for paths in families.values()))
        for ((entity_type, _), paths), schema in zip(families.items(), heads, strict=True):
            if is_as_written(schema, entity_type):
                found.setdefault(entity_type, []).extend(paths)
            else:
                others += paths
        for path, schema in zip(others, threads.map(store.schema, others), strict=True):
            if (reason := lacking(schema)) is not None:
                strange[path] = reason
                continue
            rewritten[path] = schema.names
            for entity_type in _types_in(store, path, schema.names):
                found.setdefault(entity_type, []).append(path)
    ordered = {t: sorted(found[t], key=_place_in_time) for t in ENTITY_TYPES if t in found}
    return ordered, rewritten, strange


def _types_in(store: Store, path: str, columns: Sequence[str]) -> list[EntityType]:
    """The entity types of a file's rows, by its folder's name or by what it says."""
    label = _label(path)
    for entity_type in ENTITY_TYPES:
        if label in (entity_type.label, entity_type.name):
            return [entity_type]
    if "entity_type" not in columns:
        return []
    named = {str(name) for name in store.values(path, "entity_type")}
    return [entity_type for entity_type in ENTITY_TYPES if entity_type.name in named]


def _label(path: str) -> str | None:
    """What a folder says of the entity type of the files in it: `type=…` or `entity_type=…`."""
    for folder in path.split("/")[:-1]:
        name, equals, value = folder.partition("=")
        if equals and name in ("type", "entity_type"):
            return value
    return None


def _place_in_time(path: str) -> tuple[str, str]:
    return _date(path), path


def _date(path: str) -> str:
    """The date of a file's samples, by its folder; empty where that does not say."""
    folder = path.rsplit("/", 2)[-2] if "/" in path else ""
    return folder if folder.startswith("date=") else ""


def _of_date(paths: Sequence[str], date: str) -> list[str]:
    """The files of a date, and those that may be of any."""
    return [path for path in paths if _date(path) in (date, "")]


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
