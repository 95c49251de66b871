"""The names that the package itself gives."""

import re
import subprocess
import sys

import pytest

import elephas_torch
from elephas_torch._version import __version__


def test_every_public_name_is_there():
    for name in elephas_torch.__all__:
        assert getattr(elephas_torch, name) is not None
        assert name in dir(elephas_torch)


def test_names_are_those_of_their_modules():
    from elephas_torch.spark_model import SparkMLlibModel, SparkModel

    assert elephas_torch.SparkModel is SparkModel
    assert elephas_torch.SparkMLlibModel is SparkMLlibModel


def test_submodules_come_without_an_import_of_their_own():
    code = "import elephas_torch as e; print(e.optimizers.SGD().learning_rate, e.errors.DataError)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "0.01 <class 'elephas_torch.errors.DataError'>\n"


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'elephas_torch' has no attribute 'SparkModell'"):
        elephas_torch.SparkModell  # noqa: B018


def test_version():
    assert elephas_torch.__version__ == __version__
    assert re.fullmatch(r"\d+\.\d+\.\d+", __version__)
