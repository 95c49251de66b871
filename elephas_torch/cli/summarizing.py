"""`elephas-torch summary FILE`: prints a saved model."""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any

from elephas_torch.cli import usage

_MORE = """
FILE is a model that was saved here or by Keras 1 to 3 (.keras, .h5), one that SparkModel.save
wrote, or weights alone (.safetensors, .weights.h5). Nothing in it is run: models with layers of
your own, or with Lambda layers, need Python (load_model with custom_objects).
"""


def add_to(commands: Any, common: argparse.ArgumentParser) -> None:
    """Adds the command."""
    made = usage.command(commands, common, "summary", "print a saved model", _MORE)
    made.add_argument("file", type=Path, metavar="FILE", help="the saved model")
    made.add_argument("--nested", action="store_true", help="show layers of models in the model")
    made.add_argument("--trainable", action="store_true", help="show which layers training changes")
    made.add_argument("--width", type=usage.count, metavar="N", help="characters a line")
    made.add_argument("--json", action="store_true", help="print the model's config as JSON")
    made.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Prints the model, and returns 0."""
    if _holds_weights_alone(options.file):
        _print_weights(options.file)
        return 0
    from elephas_torch.keras.models import load_model

    model = load_model(options.file)
    if options.json:
        print(json.dumps(json.loads(model.to_json()), indent=2))
        return 0
    model.summary(options.width, expand_nested=options.nested, show_trainable=options.trainable)
    for line in (*_compiled(model), *_trained_by(options.file)):
        print(line)
    return 0


def _holds_weights_alone(path: Path) -> bool:
    from elephas_torch.keras.saving import files

    path = files.existing(path)
    return files.is_keras_weights(path) or path.suffix.lower() == files.SAFETENSORS


def _print_weights(path: Path) -> None:
    total = 0
    for name, shape in sorted(_weights(path)):
        count = math.prod(shape)
        total += count
        print(f"{name}  {tuple(shape)}  {count:,}")
    print(f"Weights alone, {total:,} numbers; load_weights takes them into a model.")


def _weights(path: Path) -> list[tuple[str, tuple[int, ...]]]:
    from elephas_torch.keras.saving import files, hdf5
    from elephas_torch.keras.saving import tensors as safe

    content = path.read_bytes()
    if path.suffix.lower() == files.SAFETENSORS:
        return [(name, tuple(one.shape)) for name, one in safe.parsed(content, path).items()]
    found: list[tuple[str, tuple[int, ...]]] = []
    with hdf5.opened(content, path) as file:
        file.visititems(
            lambda name, one: found.append((name, one.shape)) if hasattr(one, "shape") else None
        )
    return found


def _compiled(model: Any) -> list[str]:
    if not model.compiled:
        return ["Not compiled."]
    config = model.get_compile_config() or {}
    optimizer = model.optimizer
    config_of = optimizer.get_config()
    left_out = ("name",) if config_of.get("use_ema") else ("name", "ema_momentum")
    settings = ", ".join(
        f"{name}={value}"
        for name, value in config_of.items()
        if name not in left_out and value not in (None, False)
    )
    lines = [f"Optimizer: {type(optimizer).__name__}({settings})"]
    for name in ("loss", "metrics", "weighted_metrics", "loss_weights"):
        if config.get(name):
            lines.append(f"{name.replace('_', ' ').capitalize()}: {_plain(config[name])}")
    return lines


def _plain(tree: Any) -> str:
    if isinstance(tree, dict) and "class_name" in tree:
        return str(tree["class_name"])
    if isinstance(tree, dict):
        return ", ".join(f"{name}: {_plain(one)}" for name, one in tree.items())
    if isinstance(tree, list | tuple):
        return ", ".join(map(_plain, tree))
    return str(getattr(tree, "name", tree))


def _trained_by(path: Path) -> list[str]:
    """How the file's `SparkModel` trains, if it holds one."""
    from elephas_torch.keras.saving import read_model_file

    texts, _ = read_model_file(path)
    if "spark_model.json" not in texts:
        return []
    config = json.loads(texts["spark_model.json"])
    names = ("mode", "frequency", "exchange", "num_workers", "batch_size")
    said = ", ".join(f"{name}={config.get(name)!r}" for name in names)
    return [f"{config.get('class_name', 'SparkModel')}: {said}"]
