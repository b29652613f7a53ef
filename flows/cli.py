"""The command line: options to calls, errors to messages and exit codes.

0: done, also after a clean drain. 1: the work failed, or a drain was forced. 2: the command line
or the configuration is wrong. Standard output carries results only.

A command reads its options first, and then imports what it needs: help, and what is wrong with an
option, are there at once.
"""

import gc
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from flows import standard_streams
from flows.again import StartAgain
from flows.errors import CommandError, ConfigError, UsageError
from flows.options import (
    Command,
    addresses_of,
    bootstrap_servers,
    interval_of,
    moment,
    named_columns,
    parsed,
    require_before,
    sample_type,
    servers_of,
    some_time,
    with_logs,
)
from flows.visible import visible_lines
from operators.schema.secrets import without_password
from operators.schema.units import parse_duration

if TYPE_CHECKING:
    from flows.config import Config

app = typer.Typer(
    name="mqpipe",
    help="Collect, simulate and merge message-queue metrics; deliver them as Arrow batches.",
    context_settings={"help_option_names": ["-h", "--help"]},
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

ConfigArgument = Annotated[
    Path | None, typer.Argument(metavar="CONFIG", help="YAML file; `mqpipe init` writes one.")
]
RequiredConfig = Annotated[Path, typer.Argument(metavar="CONFIG", help="YAML file.")]
WorkersOption = Annotated[
    int, typer.Option("--workers", min=1, max=128, help="Worker threads of this process.")
]


def _show_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version as version_of

        typer.echo(f"mqpipe {version_of('mqpipe')}")
        raise typer.Exit


@app.callback()
@with_logs
def before_a_command(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """What goes before a command."""


def _config(file: Path | None, servers: str | None = None) -> "Config":
    """What a job is given; from here on, all that anyone logs looks alike.

    Without a file: to collect the cluster of some `servers`, or a small simulated fleet.
    """
    from flows.config import Config
    from flows.loading import load, parse
    from flows.observe.logs import configure_logs

    configure_logs()
    if servers is not None:
        from flows.templates import of_servers

        config = parse(Config, of_servers(servers), "--bootstrap-servers")
    elif file is None:
        from flows.templates import DEFAULT, template

        config = parse(Config, template(DEFAULT), "the built-in configuration")
    else:
        config = load(Config, file)
    _collect_garbage()
    return config


def _collect_garbage() -> None:
    """From here on, other than what was imported: see `flows.__main__`."""
    gc.freeze()
    gc.enable()


@app.command(cls=Command)
@with_logs
def run(
    config: ConfigArgument = None,
    workers: WorkersOption = 1,
    for_: Annotated[
        str | None,
        typer.Option("--for", metavar="90s", help="End by itself, counted from the first tick."),
    ] = None,
    once: Annotated[
        bool, typer.Option("--once", help="One tick of each target, then end.")
    ] = False,
    servers: Annotated[
        str | None,
        typer.Option(
            "--bootstrap-servers", metavar="H:P", help="Without CONFIG: collect this cluster."
        ),
    ] = None,
    no_live: Annotated[bool, typer.Option("--no-live", help="Log lines, no live table.")] = False,
    fail_on_error: Annotated[
        bool,
        typer.Option(
            "--fail-on-error", help="End with 1 where all ticks failed or samples did not arrive."
        ),
    ] = False,
    addresses: Annotated[
        str | None, typer.Option(metavar="a:2101,b:2101", help="All processes of a cluster.")
    ] = None,
    process_id: Annotated[
        int, typer.Option(min=0, metavar="K", help="Which of the addresses this process is.")
    ] = 0,
) -> None:
    """The streaming job.

    Without CONFIG: a small simulated fleet, or the cluster of --bootstrap-servers, into ./samples.
    No state is kept: the next run starts over, and adds to the files that are there.

    Stops at Ctrl-C or SIGTERM, when everything under way has reached its sinks.

    Example: mqpipe run mqpipe.yaml --workers 2
    """
    cluster = parsed("--addresses", addresses, addresses_of) or ()
    if process_id and process_id >= len(cluster):
        raise typer.BadParameter(f"--process-id {process_id}, but {len(cluster)} addresses")
    limit = parsed("--for", for_, some_time)
    if once and limit is not None:
        raise typer.BadParameter("--once is one tick, --for a time: give one of them")
    if config is not None and servers is not None:
        raise typer.BadParameter(
            "--bootstrap-servers is for a start without CONFIG: give one of them"
        )
    parsed("--bootstrap-servers", servers, bootstrap_servers)
    # Those that come before they are listened for wait, so that a job that is stopped as soon as its page
    # is there drains; what is imported below starts threads, which must not hear of them either.
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP, signal.SIGTERM])

    from flows.resident import few_copies, give_back

    few_copies()
    from flows.run import RunOptions
    from flows.run import run as run_command
    from flows.runtime import Workers

    options = RunOptions(
        workers=Workers(workers, cluster, process_id),
        limit=limit,
        live=not no_live and sys.stderr.isatty(),
        afresh=config is None,
        fail_on_error=fail_on_error,
        once=once,
        file=config,
    )
    settings = _config(config, servers)
    give_back()
    raise typer.Exit(run_command(settings, options))


@app.command(cls=Command)
@with_logs
def export(
    config: ConfigArgument = None,
    start: Annotated[
        str | None, typer.Option(metavar="T", help="First moment: ISO 8601, -6h or now.")
    ] = None,
    end: Annotated[
        str | None, typer.Option(metavar="T", help="The moment after the last: ISO 8601, -6h, now.")
    ] = None,
    interval: Annotated[
        str | None, typer.Option(metavar="30s", help="Time between two ticks.")
    ] = None,
    out: Annotated[
        str | None, typer.Option(metavar="URI", help="Directory or object storage.")
    ] = None,
    workers: WorkersOption = 1,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of the simulation.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a stopped export.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Remove the samples that are there first.")
    ] = False,
    form: Annotated[
        str, typer.Option("--format", metavar="F", help="parquet, or tsb-ad or nab: a benchmark.")
    ] = "parquet",
    univariate: Annotated[
        bool, typer.Option("--univariate", help="Of a benchmark: a file a metric.")
    ] = False,
    metric: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Of a benchmark: only this metric.")
    ] = None,
) -> None:
    """Offline export of the config's fleets to Parquet, as fast as the machine goes.

    Ticks are the multiples of the interval in [start, end); by default the last 24 hours.
    As a benchmark for detectors: a series an entity, with labels and causes.

    Example: mqpipe export --start 2026-01-01T00:00:00Z --end 2026-01-02T00:00:00Z --out day
    """
    if resume and overwrite:
        raise typer.BadParameter("--resume goes on, --overwrite starts over: give one of them")
    if form not in ("parquet", "tsb-ad", "nab"):
        raise typer.BadParameter(f"--format {form}: write parquet, tsb-ad or nab")
    if form != "parquet" and resume:
        raise UsageError(f"--resume goes on with Parquet; --format {form} is made at once")
    if form == "parquet" and (univariate or metric):
        raise typer.BadParameter("--univariate and --metric go with --format tsb-ad or nab")
    first, after_last = parsed("--start", start, moment), parsed("--end", end, moment)
    if first is not None and after_last is not None:
        require_before("--start", first, "--end", after_last)
    seconds = parsed("--interval", interval, interval_of)

    from flows.export import ExportOptions
    from flows.export import export as export_command

    options = ExportOptions(
        start=first,
        end=after_last,
        interval=seconds,
        out=out,
        seed=seed,
        workers=workers,
        resume=resume,
        overwrite=overwrite,
        progress=sys.stderr.isatty(),
    )
    if form == "parquet":
        raise typer.Exit(export_command(_config(config), options))

    from flows.datasets.command import DatasetOptions, Form, export_dataset

    dataset = DatasetOptions(Form(form), univariate, tuple(metric or ()))
    raise typer.Exit(export_dataset(_config(config), options, dataset))


@app.command(cls=Command)
@with_logs
def replay(
    config: RequiredConfig,
    from_: Annotated[
        str | None, typer.Option("--from", metavar="T", help="First moment: ISO 8601, -6h or now.")
    ] = None,
    to: Annotated[
        str | None, typer.Option("--to", metavar="T", help="The moment after the last.")
    ] = None,
    out: Annotated[str | None, typer.Option(metavar="URI", help="Only to Parquet, there.")] = None,
    workers: WorkersOption = 1,
) -> None:
    """Send the stream that sinks.kafka recorded to the other sinks again.

    The range is of samples' timestamps; it ends where the topic ended when the replay began.
    Stopped or killed, the same command goes on where it was.

    Example: mqpipe replay mqpipe.yaml --from -6h --out again
    """
    first, after_last = parsed("--from", from_, moment), parsed("--to", to, moment)
    if first is not None and after_last is not None:
        require_before("--from", first, "--to", after_last)

    from flows.replay import ReplayOptions
    from flows.replay import replay as replay_command

    options = ReplayOptions(
        start=first,
        end=after_last,
        asked=(from_, to),
        out=out,
        workers=workers,
        live=sys.stderr.isatty(),
    )
    raise typer.Exit(replay_command(_config(config), options))


@app.command(cls=Command)
@with_logs
def check(
    config: Annotated[
        Path, typer.Argument(metavar="CONFIG|HOST:PORT", help="YAML file, or a cluster's brokers.")
    ],
    connect: Annotated[
        bool, typer.Option("--connect", help="Also reach every cluster and sink.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="All that is found as JSON, and the whole config.")
    ] = False,
    effective: Annotated[
        bool, typer.Option("--effective", help="Only the config with its defaults, as YAML.")
    ] = False,
) -> None:
    """Validate a config and print the plan and what it costs.

    Of the brokers of a cluster: reach it, and print what is found.

    Example: mqpipe check mqpipe.yaml --connect
    """
    if as_json and effective:
        raise typer.BadParameter("--json has the config in it: give one of --json and --effective")
    servers = servers_of(str(config))
    if servers is None and not config.exists() and config.suffix not in (".yaml", ".yml"):
        raise UsageError(f"{config}: no such file; for a cluster write host:port")
    found = _config(None if servers else config, servers)
    if effective:
        from flows.effective import as_yaml

        typer.echo(as_yaml(found), nl=False)
        return

    from flows.check import check as check_command

    raise typer.Exit(check_command(found, connect=connect or servers is not None, as_json=as_json))


@app.command(cls=Command)
@with_logs
def redeliver(config: RequiredConfig) -> None:
    """Send dead letters, and what waits in spools, again; what fails is kept.

    Refuses beside a live run of the same state.

    Example: mqpipe redeliver mqpipe.yaml
    """
    from flows.redeliver import redeliver as redeliver_command

    raise typer.Exit(redeliver_command(_config(config)))


@app.command(cls=Command)
@with_logs
def report(
    uri: Annotated[
        str, typer.Argument(metavar="URI", help="Directory or object storage with samples.")
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="The page.")] = Path("report.html"),
    png: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Also each plot as a PNG file.")
    ] = None,
) -> None:
    """One self-contained page of plots from Parquet samples of any number.

    Example: mqpipe report ./samples --out report.html
    """
    from flows.report.command import ReportOptions
    from flows.report.command import report as report_command

    _collect_garbage()
    raise typer.Exit(report_command(uri, ReportOptions(out, png, progress=sys.stderr.isatty())))


@app.command(cls=Command)
@with_logs
def dashboard(
    config: ConfigArgument = None,
    alerts: Annotated[
        bool, typer.Option("--alerts", help="Alert conditions instead of the dashboard.")
    ] = False,
    grafana: Annotated[
        bool,
        typer.Option(
            "--grafana", help="A Grafana board of what `metrics: {samples: true}` serves."
        ),
    ] = False,
) -> None:
    """Write a New Relic dashboard as JSON, to be imported there.

    With --alerts: NRQL alert conditions, each an input of NerdGraph's
    alertsNrqlConditionStaticCreate. With --grafana: a Grafana board of clusters.

    Example: mqpipe dashboard mqpipe.yaml > dashboard.json
    """
    if alerts and grafana:
        raise UsageError("--alerts are of New Relic: leave either --alerts or --grafana out")

    from flows.dashboard.command import dashboard as dashboard_command

    raise typer.Exit(
        dashboard_command(
            None if config is None else _config(config), alerts=alerts, grafana=grafana
        )
    )


@app.command(cls=Command)
@with_logs
def score(
    detected: Annotated[
        Path,
        typer.Argument(
            metavar="ALERTS|SCORES",
            help="CSV, Parquet or JSON with `entity` and `time`; with `score`, a value a tick.",
        ),
    ],
    against: Annotated[
        str, typer.Option("--against", metavar="URI", help="The export that was watched.")
    ],
    grace: Annotated[
        str, typer.Option(metavar="5m", help="How long after an anomaly an alert is still right.")
    ] = "5m",
    window: Annotated[
        int, typer.Option(metavar="TICKS", min=0, max=10_000, help="The widest slope of VUS.")
    ] = 100,
    threshold: Annotated[
        float | None,
        typer.Option(metavar="S", help="Scores from here on are alerts; else the best is taken."),
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(metavar="WHAT=NAME", help="A column's name, such as entity=host."),
    ] = None,
    entity: Annotated[
        str | None, typer.Option(metavar="PATH", help="Whose a file without entities is.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="All figures as JSON.")] = False,
    out: Annotated[
        Path | None,
        typer.Option(metavar="HTML", help="A page: what was found, missed and false, and when."),
    ] = None,
) -> None:
    """How well a detector found a simulation's anomalies.

    Event-wise (with delays and causes), range-based, affiliation, VUS.

    Example: mqpipe score alerts.csv --against day
    """
    seconds = parsed("--grace", grace, parse_duration) or 0.0
    columns = named_columns(column or ())

    from flows.score.command import ScoreOptions
    from flows.score.command import score as score_command

    _collect_garbage()
    options = ScoreOptions(seconds, window, threshold, columns, entity, as_json, out)
    raise typer.Exit(score_command(detected, against, options))


@app.command(cls=Command)
@with_logs
def init(
    file: Annotated[Path, typer.Argument(metavar="FILE")] = Path("mqpipe.yaml"),
    from_cluster: Annotated[
        str | None,
        typer.Option("--from-cluster", metavar="NAME", help="A fleet like this cluster."),
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", metavar="CONFIG", help="The config that names it.")
    ] = None,
) -> None:
    """Write a commented config to start from; an existing file is left alone.

    With a cluster of a config, its topology and levels are measured, and the config that is
    written simulates a fleet like it.

    Example: mqpipe init sim.yaml --from-cluster prod-eu --config mqpipe.yaml
    """
    if from_cluster is None and config is None:
        from flows.init import init as init_command

        raise typer.Exit(init_command(file))
    if from_cluster is None or config is None:
        raise UsageError("--from-cluster and --config go together: which cluster, of which config")
    from flows.init_from_cluster import init_from_cluster

    raise typer.Exit(init_from_cluster(file, _config(config), from_cluster))


@app.command(cls=Command)
@with_logs
def tail(
    place: Annotated[
        str,
        typer.Argument(
            metavar="CONFIG|URI",
            help="Of a job that runs, a folder, s3://…, kafka://host:port/topic.",
        ),
    ],
    lines: Annotated[
        int, typer.Option("--lines", "-n", metavar="N", min=0, help="Of what is there, the last N.")
    ] = 20,
    follow: Annotated[
        bool, typer.Option("--follow/--no-follow", help="Go on with what comes, or end.")
    ] = True,
    kind: Annotated[
        str | None, typer.Option("--type", metavar="TYPE", help="Only cluster, broker, topic, …")
    ] = None,
    entity: Annotated[
        str | None,
        typer.Option("--entity", metavar="PATH", help="Only this one, and those below it."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON object a line.")] = False,
) -> None:
    """Samples as they pass: of a running job, from Parquet, or from a topic.

    Ends at Ctrl-C.

    Example: mqpipe tail mqpipe.yaml --type broker
    """
    chosen = sample_type(kind)

    from flows.tail.command import TailOptions
    from flows.tail.command import tail as tail_command

    options = TailOptions(lines, follow, chosen, entity, as_json)
    raise typer.Exit(tail_command(place, options, _config))


@app.command(cls=Command)
@with_logs
def version() -> None:
    """Show the version.

    Example: mqpipe version
    """
    _show_version(asked=True)


def main() -> None:
    """Run the command line and exit with its code."""
    os.environ.setdefault("RUST_BACKTRACE", "0")
    standard_streams.prepare()
    try:
        app()
    except StartAgain as again:
        again.exec()
    except ConfigError as error:
        _fail(str(error), 2)
    except CommandError as error:
        _fail(f"mqpipe: {error}", error.code)
    except OSError as error:
        _fail(f"mqpipe: {_of_standard_output() or error}", 1)


def _of_standard_output() -> str | None:
    """What is wrong with standard output, if that is what failed."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        return f"standard output cannot be written: {why}; results are lost"
    return None


def _fail(message: str, code: int) -> NoReturn:
    typer.echo(visible_lines(without_password(message)), err=True)
    sys.exit(code)
