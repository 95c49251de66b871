"""Configs of Keras 1 and 2 in Keras 3's form.

Names of layers and arguments are translated by the same tables as in scripts (`legacy/`); here is
what only configs have: how objects are described, where the input's shape is, and how the calls
of a functional model are listed.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from elephas_torch.keras import legacy
from elephas_torch.keras.registration import find_custom, own_class

#: Names of Keras 1's rules, as a config's `name` has them.
_RULES = {
    "WeightRegularizer": "L1L2", "L1L2Regularizer": "L1L2", "MaxNorm": "MaxNorm",
    "NonNeg": "NonNeg", "UnitNorm": "UnitNorm", "MinMaxNorm": "MinMaxNorm",
}  # fmt: skip

#: Where Keras 3 has the classes of `keras.ops`.
_OPERATIONS = "keras.src.ops"


def modern(config: Any, keras: str | None = None) -> Any:
    """Returns a model's config in Keras 3's form; one that has it comes back as it is.

    Args:
        config: of a `Sequential` or a functional model, as Keras 1, 2 or 3 wrote it.
        keras: the version that wrote it, where the config doesn't say.

    Raises:
        ValueError: it has something that there is no more.
    """
    if isinstance(config, list):  # Keras 0.x and 1.0: a Sequential is a list of layers
        config = {"class_name": "Sequential", "config": config, "keras_version": "1"}
    if not isinstance(config, dict) or config.get("module"):
        return config
    _tell_of_hard_sigmoid(config, str(config.get("keras_version") or keras))
    return _layer(config)


def _tell_of_hard_sigmoid(config: dict[str, Any], keras: str) -> None:
    name = "hard_sigmoid"
    if keras[:1] not in ("1", "2") or repr(name) not in repr(config) or find_custom(name):
        return
    warnings.warn(
        "The model has the activation 'hard_sigmoid', which was clip(0.2 x + 0.5, 0, 1) in Keras "
        "1 and 2 and is clip(x / 6 + 0.5, 0, 1) in Keras 3 and here. For what it was, pass "
        "custom_objects={'hard_sigmoid': lambda x: (0.2 * x + 0.5).clamp(0, 1)}.",
        stacklevel=5,
    )


def _layer(config: Any) -> Any:
    if not isinstance(config, dict) or config.get("module") or "class_name" not in config:
        return config
    settings = config.get("config")
    name = str(config["class_name"])
    if name == "Sequential":
        made = _sequential(settings)
    elif isinstance(settings, dict) and "layers" in settings and "output_layers" in settings:
        made = _functional(settings)
        name = "Functional" if name == "Model" else name
    else:
        name, made = _settings(name, dict(settings or {}))
    kept = {k: v for k, v in config.items() if k not in ("class_name", "config", "keras_version")}
    registered = kept.get("registered_name") or name
    return {**kept, "class_name": name, "config": made, "registered_name": registered}


def _sequential(settings: Any) -> dict[str, Any]:
    settings = {"layers": settings} if isinstance(settings, list) else dict(settings or {})
    old = settings.get("layers")
    if not isinstance(old, list):
        raise ValueError("Not the config of a Sequential: it has no list of 'layers'.")
    layers = [_layer(one) for one in old]
    start = None if not old else _declared(old[0])
    if start is not None and layers[0].get("class_name") != "InputLayer":
        layers.insert(0, {"class_name": "InputLayer", "config": start})
    return {"name": None, **settings, "layers": layers}


def _declared(first: Any) -> dict[str, Any] | None:
    """The config of the input that a first layer declares, or None."""
    settings = first.get("config") if isinstance(first, dict) else None
    if isinstance(settings, list):  # a Sequential of Keras 1 in a Sequential
        return _declared(settings[0]) if settings else None
    if not isinstance(settings, dict):
        return None
    if "layers" in settings and first.get("class_name") == "Sequential":
        return _declared(settings["layers"][0]) if settings["layers"] else None
    if isinstance(settings.get("layer"), dict) and "batch_input_shape" not in settings:
        return _declared(settings["layer"])
    shape = settings.get("batch_input_shape")
    if shape is None and settings.get("input_shape") is not None:
        shape = [None, *settings["input_shape"]]
    if shape is None and isinstance(settings.get("input_dim"), int):
        embedded = first.get("class_name") == "Embedding"
        shape = None if embedded else [None, settings["input_dim"]]
    return None if shape is None else {"batch_shape": [None, *shape[1:]]}


def _settings(name: str, settings: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """A layer's class and arguments as today has them."""
    settings = {key: _value(key, one) for key, one in settings.items()}
    if name == "InputLayer":
        return name, _input(settings)
    for declared in ("batch_input_shape", "input_dtype", "batch_shape"):
        settings.pop(declared, None)
    if name == "Merge":
        return _merge(settings)
    if name == "Lambda":
        return name, _lambda(settings)
    if find_custom(name) is not None:
        return name, settings
    if name in _FIRST:
        _FIRST[name](settings)
    name = legacy.CLASSES.get(name, name)
    if name != "Embedding":
        # The shape of the input is in the model's InputLayer.
        settings.pop("input_dim", None)
    settings.pop("input_length", None)
    cls = own_class(name)
    return name, settings if cls is None else legacy.translated(cls, (), settings)[1]


def _input(settings: dict[str, Any]) -> dict[str, Any]:
    shape = settings.pop("batch_input_shape", None) or settings.get("batch_shape")
    dtype = settings.pop("input_dtype", None) or settings.get("dtype") or "float32"
    return {"batch_shape": shape, "dtype": dtype, "name": settings.get("name")}


def _value(key: str, value: Any) -> Any:
    """An argument's value: descriptions of objects, and layers in layers."""
    if not isinstance(value, dict):
        return value
    if "class_name" in value:
        return _layer(value) if key.endswith("layer") else _described(value)
    rule = _RULES.get(str(value.get("name")))
    if rule is None:
        return value
    found = {name: one for name, one in value.items() if name != "name"}
    if "m" in found:
        found["max_value"] = found.pop("m")
    return {"class_name": rule, "config": found}


def _described(value: dict[str, Any]) -> dict[str, Any]:
    settings = value.get("config")
    if value["class_name"] == "VarianceScaling" and isinstance(settings, dict):
        # Keras 2's normal distribution was cut off, too.
        if settings.get("distribution") == "normal":
            settings = {**settings, "distribution": "truncated_normal"}
        return {**value, "config": settings}
    return value


def _merge(settings: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    mode = settings.get("mode")
    if mode not in legacy.MERGES or settings.get("layers"):
        raise ValueError(
            f"A Merge of Keras 1 with mode={mode!r} can't be read: only those of functional "
            f"models, with one of {', '.join(legacy.MERGES)}."
        )
    axes = settings.get("concat_axis", -1), settings.get("dot_axes", -1)
    made = {"name": settings.get("name"), **legacy.merge_options(mode, *axes)}
    return legacy.MERGES[mode], made


def _lambda(settings: dict[str, Any]) -> dict[str, Any]:
    for name in ("function", "output_shape", "mask"):
        kind = settings.pop(f"{name}_type", None)
        settings.pop(f"{name}_module", None)
        value = settings.get(name)
        if isinstance(value, list) and value and isinstance(value[0], str):
            code, defaults, closure = value
            inner = {"code": code, "defaults": defaults, "closure": closure}
            settings[name] = {"class_name": "__lambda__", "config": inner}
        elif kind == "function" and isinstance(value, str):
            settings[name] = {"class_name": "function", "config": value}
    settings.pop("module", None)
    return settings


def _gru(settings: dict[str, Any]) -> None:
    settings.setdefault("reset_after", False)


def _cudnn_gru(settings: dict[str, Any]) -> None:
    settings["reset_after"] = True


_FIRST: dict[str, Callable[[dict[str, Any]], None]] = {
    "GRU": _gru,
    "CuDNNGRU": _cudnn_gru,
}


def _functional(settings: dict[str, Any]) -> dict[str, Any]:
    kinds = {one.get("name"): one.get("class_name") for one in settings["layers"]}
    nodes = [node for one in settings["layers"] for node in one.get("inbound_nodes") or []]
    ends = settings["output_layers"]
    if not any(isinstance(node, dict) for node in nodes):  # not Keras 3's form
        ends = _ends(ends, kinds)
    return {
        **settings,
        "layers": [_node_layer(one, kinds) for one in settings["layers"]],
        "input_layers": _alone(settings["input_layers"]),
        "output_layers": _alone(ends),
    }


def _ends(histories: Any, kinds: dict[Any, Any]) -> Any:
    # Keras 3 still counts the making of a nested functional model here, not of a Sequential.
    if isinstance(histories, list) and histories and isinstance(histories[0], str):
        name, number, position = histories[:3]
        nested = kinds.get(name) == "Sequential" and number > 0
        return [name, number - nested, position]
    if isinstance(histories, dict):
        return {key: _ends(one, kinds) for key, one in histories.items()}
    return [_ends(one, kinds) for one in histories]


def _alone(histories: Any) -> Any:
    """The one tensor of a list of one."""
    one = isinstance(histories, list) and len(histories) == 1 and isinstance(histories[0], list)
    return histories[0] if one else histories


def _node_layer(config: dict[str, Any], kinds: dict[Any, Any]) -> dict[str, Any]:
    made = {**config, "module": _OPERATIONS} if _is_operation(config) else _layer(config)
    calls = [_call(node, kinds) for node in config.get("inbound_nodes") or []]
    return {**made, "inbound_nodes": calls}


def _is_operation(config: dict[str, Any]) -> bool:
    """Whether it is a function of `keras.ops`: an .h5 file of Keras 3 has no modules' names."""
    nodes, name = config.get("inbound_nodes"), str(config.get("class_name"))
    modern = bool(nodes) and all(isinstance(node, dict) for node in nodes or [])
    if not modern or "trainable" in config["config"] or find_custom(name) is not None:
        return False
    from elephas_torch.keras import ops  # large, and seldom needed
    from elephas_torch.keras.ops.names import function_of

    return hasattr(ops, function_of(name))


def _call(node: Any, kinds: dict[Any, Any]) -> Any:
    if isinstance(node, dict):  # Keras 3's form
        return node
    # tf.keras leaves out the brackets around a single tensor.
    tensors = [node] if node and isinstance(node[0], str) else node
    options: dict[str, Any] = next((one[3] for one in tensors if len(one) > 3 and one[3]), {})
    inputs = [_tensor(one, kinds) for one in tensors]
    return {
        "args": [inputs[0] if len(inputs) == 1 else inputs],
        "kwargs": {name: _option(one, kinds) for name, one in options.items()},
    }


def _option(value: Any, kinds: dict[Any, Any]) -> Any:
    if isinstance(value, list) and len(value) >= 3 and value[0] in kinds:
        return _tensor(value, kinds)
    if isinstance(value, list):
        return [_option(one, kinds) for one in value]
    return value


def _tensor(history: Any, kinds: dict[Any, Any]) -> dict[str, Any]:
    name, number, position = history[:3]
    if kinds.get(name) in ("Sequential", "Model", "Functional") and number > 0:
        number -= 1  # Keras 2 counted a nested model's own making among its calls
    inner = {"shape": [], "dtype": "float32", "keras_history": [name, number, position]}
    return {"class_name": "__keras_tensor__", "config": inner}
