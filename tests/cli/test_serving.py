"""`elephas-torch serve`: a process of its own, and its clients."""

import os
import signal
import stat
import subprocess
import sys

import pytest
import torch

from elephas_torch.cli import serving
from elephas_torch.errors import Refused
from elephas_torch.flat import Vectors
from elephas_torch.keras.models import load_model
from elephas_torch.parameter import Client, Push
from elephas_torch.parameter.wire import MODES


def begin(*arguments, **variables):
    """The process, and its address."""
    line = [sys.executable, "-m", "elephas_torch", "serve", *map(str, arguments)]
    process = subprocess.Popen(
        line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, **variables},
    )  # fmt: skip
    for said in process.stdout:
        if said.startswith("serving at "):
            return process, said.split()[-1]
    pytest.fail(process.stderr.read())


def test_a_model_is_served_and_saved(model_file, tmp_path):
    output = tmp_path / "after.keras"
    process, url = begin(
        model_file, "--ssl", "--token-file", tmp_path / "token", "--certificate-file",
        tmp_path / "cert.pem", "--output", output, "--seconds", "60", "--optimizer", "sgd",
        "--learning-rate", "1",
    )  # fmt: skip
    token = (tmp_path / "token").read_text().strip()
    assert stat.S_IMODE((tmp_path / "token").stat().st_mode) == 0o600
    before = load_model(model_file)
    shape = sum(one.size for one in before.get_weights()) - 16
    with Client(url, token, ssl_certificate=(tmp_path / "cert.pem").read_text()) as client:
        into = Vectors(torch.zeros(shape), torch.zeros(16), torch.zeros(0, dtype=torch.int64))
        client.join(0, 0, samples=1)
        version = client.pull(into)
        update = into._replace(parameters=torch.ones(shape))
        client.exchange(Push(0, 0, 0, version, 1, 0, True), update, into)
    process.send_signal(signal.SIGTERM)
    said, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert token not in said
    after = load_model(output)
    for one, other in zip(before.get_weights()[:2], after.get_weights()[:2], strict=True):
        assert abs(one - 1 - other).max() < 1e-6


def test_sizes_and_a_token_of_ones_own():
    token = "correct-horse-battery"
    process, url = begin("--sizes", "5,2", "--seconds", "60", **{serving.TOKEN: token})
    try:
        with Client(url, token) as client:
            into = Vectors(torch.ones(5), torch.ones(2), torch.zeros(0, dtype=torch.int64))
            client.pull(into)
            assert into.parameters.tolist() == [0.0] * 5
        with pytest.raises(Refused), Client(url, "another") as client:
            client.status()
    finally:
        process.send_signal(signal.SIGINT)
    assert token not in "".join(process.communicate(timeout=60))
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "give MODEL, or --sizes, and not both."),
        (["m.keras", "--sizes", "3"], "give MODEL, or --sizes, and not both."),
        (["--sizes", "3", "--learning-rate", "1"], "--learning-rate is of --optimizer"),
        (["--sizes", "3", "--output", "x.keras"], "--output saves MODEL"),
        (["m.keras", "--output", "x.txt"], "--output must end in .keras"),
        (["--sizes", "3", "--port", "70000"], "--port must be 0 to 65535"),
        (["--sizes", "3", "--optimizer", "sgdd"], "Unknown optimizer: 'sgdd'. Did you mean 'sgd'?"),
        (["--sizes", "3,x"], "argument --sizes: must be numbers like 1000"),
    ],
)
def test_wrong_usage(command, arguments, text):
    code, said, errors = command("serve", *arguments)
    assert (code, said) == (2, "")
    assert text in errors


@pytest.mark.parametrize(
    ("token", "text"),
    [("short", "16 or more"), ("é" * 20, "16 or more"), ("x " * 20, "16 or more")],
)
def test_bad_tokens(command, monkeypatch, token, text):
    monkeypatch.setenv(serving.TOKEN, token)
    code, _, errors = command("serve", "--sizes", "3")
    assert code == 2
    assert text in errors


def test_an_address_that_is_not_ours_is_a_failure(command):
    code, _, errors = command("serve", "--sizes", "3", "--host", "192.0.2.77")
    assert code == 1
    assert "isn't an address of this machine" in errors


def test_modes_are_those_of_the_server():
    assert serving.MODES == MODES
