"""Configs that every Keras 3 can read: without what later ones brought, where it says nothing."""

from __future__ import annotations

from typing import Any

#: Arguments that came after Keras 3.0, with the value that stands for what was before.
_LATER: dict[str, Any] = {
    "quantization_config": None,
    "input_axes": None,
    "output_axes": None,
    "renorm": False,
    "renorm_clipping": None,
    "renorm_momentum": 0.99,
    "use_gate": False,
    "sliding_window": None,
    "antialias": False,
}


def lean(config: Any) -> Any:
    """Returns a config without arguments that a Keras 3 may not know and that change nothing."""
    if isinstance(config, list | tuple):
        return [lean(one) for one in config]
    if not isinstance(config, dict):
        return config
    found = {name: lean(value) for name, value in config.items()}
    settings = found.get("config")
    if isinstance(settings, dict) and str(found.get("module")).startswith("keras"):
        found["config"] = {k: v for k, v in settings.items() if not _says_nothing(k, v)}
    return found


def _says_nothing(name: str, value: Any) -> bool:
    return name in _LATER and value == _LATER[name]
