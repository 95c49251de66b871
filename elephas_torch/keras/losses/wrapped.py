"""Functions within configs: how Keras writes them, and how they are found again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from elephas_torch.keras.identifiers import find, name_of


def function_config(fn: Callable[..., Any]) -> dict[str, Any]:
    """Returns Keras's description of a function: its name, under which it is registered."""
    return {
        "module": "builtins",
        "class_name": "function",
        "config": name_of(fn),
        "registered_name": "function",
    }


def is_function_config(config: Any) -> bool:
    """Whether this is what `function_config` gives."""
    return isinstance(config, dict) and config.get("class_name") == "function"


def find_function(kind: str, config: Any, known: Mapping[str, Any]) -> Any:
    """Returns the function of a config, or of a name; what is neither as it is.

    Args:
        kind: what is looked for, as a user would say it: "loss".
        known: ours, by name.

    Raises:
        ValueError: nobody knows the name; the message has the nearest one.
    """
    name = config["config"] if is_function_config(config) else config
    return find(kind, name, known) if isinstance(name, str) else name
