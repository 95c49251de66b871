"""What commands have in common: errors of usage, Spark's settings, sections of `--help`."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator
from typing import Any


class UsageError(ValueError):
    """The command line or a configuration is wrong; nothing was started."""


def command(
    commands: Any, common: argparse.ArgumentParser, name: str, about: str, more: str = ""
) -> argparse.ArgumentParser:
    """Adds a command.

    Args:
        about: a line, for the list of commands.
        more: paragraphs, for its own `--help`.
    """
    made: argparse.ArgumentParser = commands.add_parser(
        name,
        help=about,
        description=f"{about[0].upper()}{about[1:]}.",
        epilog=more,
        parents=[common],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    return made


def add_spark(made: argparse.ArgumentParser) -> None:
    """Adds `--master` and `--conf`, as spark-submit has them."""
    made.add_argument(
        "--master",
        metavar="URL",
        help="Spark's master, such as local[4], spark://host:7077, yarn or k8s://…; default: what "
        "spark-submit or spark-defaults.conf says, else local[*]",
    )
    made.add_argument(
        "--conf",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        type=_pair,
        help="a setting of Spark; may be given more than once",
    )


@contextlib.contextmanager
def stopped(session: Any, kept: bool) -> Iterator[None]:
    """Stops a session in the end, unless it is to be kept: it was there before."""
    try:
        yield
    finally:
        if not kept:
            session.stop()


def has_session() -> bool:
    """Whether this process has a Spark already."""
    from pyspark import SparkContext

    return SparkContext._active_spark_context is not None


def spark_settings(options: argparse.Namespace) -> dict[str, str]:
    """What these two say."""
    master = {} if options.master is None else {"spark.master": options.master}
    return {**dict(options.conf), **master}


def _pair(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign or not name.strip():
        raise argparse.ArgumentTypeError(f"must be NAME=VALUE. Received: {text!r}")
    return name.strip(), value


def positive(text: str) -> float:
    """A number above 0."""
    value = _number(text)
    if value <= 0:
        raise argparse.ArgumentTypeError(f"must be above 0. Received: {text}")
    return value


def not_negative(text: str) -> float:
    """A number, 0 or more."""
    value = _number(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"must be 0 or more. Received: {text}")
    return value


def count(text: str) -> int:
    """A whole number, 1 or more."""
    value = _number(text)
    if value != int(value) or value < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number, 1 or more. Received: {text}")
    return int(value)


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not -1e15 < value < 1e15:
        raise argparse.ArgumentTypeError(f"must be a number. Received: {text!r}")
    return value
