"""`elephas-torch serve`: a parameter server alone, for workers of any kind."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from elephas_torch.cli import usage
from elephas_torch.cli.usage import UsageError
from elephas_torch.errors import ServerError

#: Of `parameter.wire`, which imports PyTorch: `--help` is to come at once.
MODES = ("synchronous", "asynchronous", "hogwild")
TOKEN, PASSWORD = "ELEPHAS_TORCH_TOKEN", "ELEPHAS_TORCH_KEY_PASSWORD"
_MORE = f"""
Prints its address, then serves until Ctrl-C, SIGTERM or the end of --seconds.

Workers need the address and a token. The token is what the variable {TOKEN} says
(16 characters or more); else a new one, which is written to --token-file or printed. The password
of --ssl-keyfile is taken from {PASSWORD}.

  elephas-torch serve model.keras --host 0.0.0.0 --advertise 10.0.0.5 --token-file token

docs/parameter.md says what workers do: `Client(address, token)`.
"""


def add_to(commands: Any, common: argparse.ArgumentParser) -> None:
    """Adds the command."""
    about = "start a parameter server alone"
    made = usage.command(commands, common, "serve", about, _MORE)
    made.add_argument(
        "model", nargs="?", type=Path, metavar="MODEL",
        help="a saved model, whose weights are served",
    )  # fmt: skip
    made.add_argument(
        "--sizes", type=_sizes, metavar="P[,S,C]",
        help="in place of MODEL: zeros, so many parameters, moving statistics and counters",
    )  # fmt: skip
    rule = made.add_argument_group("how updates enter")
    rule.add_argument("--mode", choices=MODES, default="asynchronous", help="default asynchronous")
    rule.add_argument(
        "--optimizer", metavar="NAME",
        help="what steps with the gradients that workers push; default: the model's, or without "
        "one SGD(1.0), which takes differences of weights",
    )  # fmt: skip
    rule.add_argument("--learning-rate", type=usage.positive, metavar="R", help="of --optimizer")
    rule.add_argument(
        "--workers", type=usage.count, default=1, metavar="N",
        help="how many the first synchronous round waits for (default 1)",
    )  # fmt: skip
    rule.add_argument(
        "--no-staleness", action="store_true",
        help="take late updates as they are, not divided by the versions that they missed",
    )  # fmt: skip
    rule.add_argument(
        "--compression", choices=("bf16", "int8", "topk"), help="how vectors travel; default whole"
    )
    rule.add_argument(
        "--lease", type=usage.positive, default=60.0, metavar="S",
        help="seconds of silence after which a worker is left out (default 60)",
    )  # fmt: skip
    where = made.add_argument_group("where")
    where.add_argument(
        "--host", default="127.0.0.1",
        help="address to listen at, 0.0.0.0 for all (default 127.0.0.1)",
    )  # fmt: skip
    where.add_argument("--port", type=int, default=0, help="default 0: a free one")
    where.add_argument("--advertise", metavar="HOST", help="what workers call this machine")
    secret = made.add_argument_group("secrets")
    secret.add_argument("--token-file", type=Path, metavar="FILE",
                        help="write a new token there, readable by this user alone")  # fmt: skip
    secret.add_argument("--ssl", action="store_true", help="speak TLS, with a new certificate")
    secret.add_argument("--ssl-certfile", metavar="FILE", help="with this certificate (PEM)")
    secret.add_argument("--ssl-keyfile", metavar="FILE", help="its key (PEM)")
    secret.add_argument("--certificate-file", type=Path, metavar="FILE",
                        help="write the certificate there, for workers")  # fmt: skip
    end = made.add_argument_group("the end")
    end.add_argument("--seconds", type=usage.positive, metavar="S", help="serve no longer")
    end.add_argument("--output", type=Path, metavar="FILE",
                     help="save MODEL with the last weights there (.keras, .h5)")  # fmt: skip
    made.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Serves, and returns 0."""
    _check(options)
    model = None
    if options.model is not None:
        from elephas_torch.keras.models import load_model

        model = load_model(options.model)
    vectors, flat = _vectors(options, model)
    try:
        server = _server(options, model, vectors, flat)
    except (TypeError, ValueError) as error:
        raise UsageError(str(error)) from error
    token = os.environ.get(TOKEN)
    if token is not None:
        server.token = token
    ended = threading.Event()
    before = {
        number: signal.signal(number, lambda *_: ended.set())
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        with server:
            _tell(options, server, printed=token is None)
            _wait(server, ended, options.seconds)
            if options.output is not None:
                _save(model, vectors, server, options.output)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return 0


def _sizes(text: str) -> tuple[int, int, int]:
    try:
        numbers = [int(one) for one in text.split(",")]
    except ValueError:
        numbers = []
    if not 1 <= len(numbers) <= 3 or min(numbers) < 0:
        raise argparse.ArgumentTypeError(
            f"must be numbers like 1000 or 1000,20,1. Received: {text!r}"
        )
    parameters, state, counters = (*numbers, 0, 0)[:3]
    return parameters, state, counters


def _check(options: argparse.Namespace) -> None:
    if (options.model is None) == (options.sizes is None):
        raise UsageError("give MODEL, or --sizes, and not both.")
    if options.learning_rate is not None and options.optimizer is None:
        raise UsageError("--learning-rate is of --optimizer: give that too.")
    if options.output is not None and options.model is None:
        raise UsageError("--output saves MODEL: with --sizes there is none.")
    if options.output is not None and options.output.suffix not in (".keras", ".h5", ".hdf5"):
        raise UsageError(f"--output must end in .keras or .h5. Received: {options.output}")
    if not 0 <= options.port <= 65535:
        raise UsageError(f"--port must be 0 to 65535. Received: {options.port}")
    token = os.environ.get(TOKEN)
    if token is None:
        return
    from elephas_torch.parameter.process import checked_token

    try:
        checked_token(token, TOKEN)
    except ValueError as error:
        raise UsageError(str(error)) from None
    if options.token_file is not None:
        raise UsageError(f"--token-file is for a new token, and {TOKEN} gives one.")


def _vectors(options: argparse.Namespace, model: Any) -> tuple[Any, Any]:
    """The vectors to begin with; of a model they are views into it."""
    import torch

    from elephas_torch.flat import Flat, Vectors

    if model is None:
        parameters, state, counters = options.sizes
        return Vectors(
            torch.zeros(parameters), torch.zeros(state), torch.zeros(counters, dtype=torch.int64)
        ), None
    if model.compiled:
        from elephas_torch.stepping import step_of

        flat = step_of(model).flat
    else:
        flat = Flat(model)
    return flat.vectors, flat


def _server(options: argparse.Namespace, model: Any, vectors: Any, flat: Any) -> Any:
    from elephas_torch import optimizers, preflight
    from elephas_torch.flat import Vectors
    from elephas_torch.parameter import ServerProcess, Settings

    chosen = _optimizer(options, model)
    if model is None:
        rule, constraints = optimizers.serialize(chosen), []
    else:
        preflight.check_sendable(chosen)
        rule = preflight.for_server(chosen, model, flat.names)
        constraints = preflight.constraint_specs(model)
    settings = Settings(
        mode=options.mode,
        sizes=vectors.sizes,
        optimizer=rule,
        weight_sizes=None if flat is None else flat.sizes,
        workers=options.workers,
        staleness=None if options.no_staleness else "scale",
        lease=options.lease,
        constraints=constraints,
        compression=options.compression,
    )
    return ServerProcess(
        settings,
        Vectors(*vectors),
        host=options.host,
        port=options.port,
        advertise=options.advertise,
        ssl=options.ssl,
        ssl_certfile=options.ssl_certfile,
        ssl_keyfile=options.ssl_keyfile,
        ssl_keyfile_password=os.environ.get(PASSWORD) if options.ssl_keyfile else None,
    )


def _optimizer(options: argparse.Namespace, model: Any) -> Any:
    from elephas_torch import optimizers

    if options.optimizer is None:
        compiled = model is not None and model.compiled
        return model.optimizer if compiled else optimizers.SGD(1.0)
    chosen = optimizers.get(options.optimizer)
    if options.learning_rate is not None:
        chosen.learning_rate = options.learning_rate
    return chosen


def _tell(options: argparse.Namespace, server: Any, printed: bool) -> None:
    """Writes the secrets first: who waits for the address, finds them there."""
    if options.certificate_file is not None and server.certificate is not None:
        options.certificate_file.write_text(server.certificate)
    if options.token_file is not None:
        _write_secret(options.token_file, server.token)
    elif printed:
        print(f"token: {server.token}")
    print(f"serving at {server.url}", flush=True)


def _write_secret(path: Path, text: str) -> None:
    """A file that was there, may have been readable by others; so it isn't written into."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text + "\n")


def _wait(server: Any, ended: threading.Event, seconds: float | None) -> None:
    end = time.monotonic() + seconds if seconds is not None else float("inf")
    while not ended.wait(min(1.0, max(end - time.monotonic(), 0))) and time.monotonic() < end:
        if not server.alive:
            server.check(grace=1.0)
            raise ServerError("The parameter server has ended.")


def _save(model: Any, vectors: Any, server: Any, path: Path) -> None:
    with server.client(timeout=60) as client:
        client.pull(vectors)
    model.save(path)
    print(f"saved {path}", file=sys.stderr, flush=True)
