"""Reads the command line and runs a command; each is a module beside this one."""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from elephas_torch._version import __version__
from elephas_torch.cli import doctoring, serving, summarizing, training
from elephas_torch.cli.usage import UsageError
from elephas_torch.errors import ElephasError, UnknownName

DONE, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130
_EXIT_CODES = """
exit codes:
  0    done (doctor: training works here)
  1    failed; standard error says why (doctor: training will not work here)
  2    the command line or the configuration is wrong; nothing was started
  130  interrupted by Ctrl-C
"""
#: What a user can cause and mend; the rest is a fault of ours, and shows where.
_EXPECTED = (ElephasError, ImportError, OSError, TypeError, ValueError)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command.

    Args:
        arguments: of the command line; default, this process's own.

    Returns:
        The exit code.
    """
    options = parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except UsageError as error:
        return _told(options, error, USAGE)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # whoever read it, has gone
        sys.stdout = None
        return DONE
    except _EXPECTED as error:
        return _told(options, error, FAILED)


def _told(options: argparse.Namespace, error: Exception, code: int) -> int:
    if options.traceback:
        traceback.print_exc()
    else:
        plain = isinstance(error, UsageError | ElephasError | UnknownName)
        kind = "" if plain else f"{type(error).__name__}: "
        print(f"elephas-torch {options.command}: {kind}{error}", file=sys.stderr)
    return code


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    made = argparse.ArgumentParser(
        prog="elephas-torch",
        description="Deep learning on Spark with Keras-style models on PyTorch.",
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--version", action="version", version=f"elephas-torch {__version__}")
    made.add_argument(
        "--script",
        action="version",
        version=str(Path(__file__).with_name("submit.py")),
        help="print the path of the script for spark-submit and exit: spark-submit … "
        '"$(elephas-torch --script)" COMMAND …',
    )
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--traceback", action="store_true", help="show where in the code an error came up"
    )
    commands = made.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for module in (doctoring, training, serving, summarizing):
        module.add_to(commands, common)
    return made
