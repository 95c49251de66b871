"""`elephas-torch doctor` on the command line."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from elephas_torch.cli import usage

if TYPE_CHECKING:  # imports Spark, and `--help` is to come at once
    from elephas_torch.cli.doctor import Report

_MORE = """
With spark-submit, which brings the cluster's own settings:

  spark-submit --master yarn "$(elephas-torch --script)" doctor --workers 8

Nothing is left on the cluster. docs/doctor.md says what each line means.
"""


def add_to(commands: Any, common: argparse.ArgumentParser) -> None:
    """Adds the command."""
    about = "look whether training works on this Spark, and say what to change"
    made = usage.command(commands, common, "doctor", about, _MORE)
    usage.add_spark(made)
    made.add_argument(
        "--workers", type=usage.count, metavar="N",
        help="how many workers are to train at once; default: as many as there are slots",
    )  # fmt: skip
    made.add_argument(
        "--seconds", type=usage.not_negative, default=10.0, metavar="S",
        help="how long the training run lasts, 0: none (default 10)",
    )  # fmt: skip
    made.add_argument(
        "--timeout", type=usage.positive, default=120.0, metavar="S",
        help="how long each step may take (default 120)",
    )  # fmt: skip
    made.add_argument("--json", action="store_true", help="print JSON in place of text")
    made.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Prints a report; 1 where training won't work."""
    report = _examined(options)
    print(report.to_json() if options.json else report, flush=True)
    return 1 if report.verdict == "fail" else 0


def _examined(options: argparse.Namespace) -> Report:
    from elephas_torch.cli.doctor import Report, examination

    def say(text: str) -> None:
        print(f"elephas-torch doctor: {text}", file=sys.stderr, flush=True)

    settings = {"spark.ui.showConsoleProgress": "false", **usage.spark_settings(options)}
    say("starting Spark")
    kept = usage.has_session()
    try:
        session = examination.session(settings, options.timeout)
    except Exception as error:
        return Report.of({"session_error": _why(error), "driver": examination.driver()})
    with usage.stopped(session, kept):
        # what fails is said below, without Java's traces
        session.sparkContext.setLogLevel("OFF")
        return examination.examine(
            session, options.workers, options.seconds, options.timeout, say=say
        )


def _why(error: Exception) -> str:
    from elephas_torch.cluster import python_error

    return python_error(error) or type(error).__name__
