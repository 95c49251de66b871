"""The command line itself: help, versions, exit codes."""

import configparser
import importlib
import subprocess
import sys
import time
from pathlib import Path

import pytest

from elephas_torch._version import __version__
from elephas_torch.cli.main import main

COMMANDS = ("doctor", "train", "serve", "summary")


def test_help_names_commands_and_exit_codes(command):
    code, said, errors = command("--help")
    assert (code, errors) == (0, "")
    assert all(f"    {one} " in said for one in COMMANDS)
    assert "exit codes:" in said and "130" in said


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_help(command, name):
    code, said, _ = command(name, "--help")
    assert code == 0
    assert f"usage: elephas-torch {name}" in said
    assert "--traceback" in said


def test_as_a_module_without_importing_torch(tmp_path):
    code = (
        "import runpy, sys; sys.argv = ['elephas-torch', '--version']\n"
        "try: runpy.run_module('elephas_torch', run_name='__main__')\n"
        "except SystemExit as error: print(error.code, {'torch', 'pyspark'} & sys.modules.keys())"
    )
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == f"elephas-torch {__version__}\n0 set()\n"
    assert time.monotonic() - started < 20


@pytest.mark.parametrize("arguments", [(), ("docter",), ("summary",), ("doctor", "--workers", "0")])
def test_wrong_usage_is_2(command, arguments):
    code, _, errors = command(*arguments)
    assert code == 2
    assert "usage: elephas-torch" in errors


@pytest.mark.parametrize(
    "option", [("--conf", "x"), ("--workers", "1.5"), ("--timeout", "0"), ("--seconds", "nan")]
)
def test_options_of_doctor_are_checked(command, option):
    code, _, errors = command("doctor", *option)
    assert code == 2
    assert f"argument {option[0]}: must be" in errors


def test_a_failure_is_1_and_its_traceback_is_shown_on_request(command, tmp_path):
    code, _, errors = command("summary", tmp_path / "none.keras")
    assert code == 1
    assert errors.startswith("elephas-torch summary: FileNotFoundError: There is no file")
    assert "Traceback" in command("summary", tmp_path / "none.keras", "--traceback")[2]


def test_the_installed_command_is_this_one():
    """`elephas-torch`, as pip makes it."""
    packaging = configparser.ConfigParser()
    packaging.read(Path(__file__).parents[2] / "setup.cfg")
    ((name, place),) = [
        line.split(" = ")
        for line in packaging["options.entry_points"]["console_scripts"].strip().splitlines()
    ]
    module, function = place.split(":")
    assert (name, getattr(importlib.import_module(module), function)) == ("elephas-torch", main)


def test_the_script_for_spark_submit(command):
    code, said, _ = command("--script")
    path = Path(said.strip())
    assert code == 0
    assert path.name == "submit.py" and path.is_file()
