"""Where Keras has pretrained networks, which aren't here: asking for one says what to use."""

from __future__ import annotations

from typing import Any

from elephas_torch.errors import absent

__all__: list[str] = []


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    raise absent(
        f"keras.applications.{name} isn't there. Save Keras's own by model.save('x.keras') and "
        "open it by load_model('x.keras'), or train a network of torchvision.models: "
        "Model.from_torch(net, input_shape=…)."
    )
