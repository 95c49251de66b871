"""What a compiled forward pass does with errors."""

import pytest
import torch

from elephas_torch.keras import Sequential, layers
from elephas_torch.keras.forward import Forward


def forward(error):
    def compiled(x):
        raise error

    made = Forward(Sequential([layers.Dense(1, input_dim=2)]), [])
    made._compiled = compiled
    return made


def test_what_can_t_be_compiled_is_computed_all_the_same():
    made = forward(torch._dynamo.exc.Unsupported("no such thing"))
    with pytest.warns(UserWarning, match=r"jit_compile=True has no effect: .* \(no such thing\)"):
        assert made(torch.ones(3, 2)).shape == (3, 1)
    assert made(torch.ones(3, 2)).shape == (3, 1)


@pytest.mark.parametrize("error", [torch.cuda.OutOfMemoryError("full"), ValueError("own")])
def test_other_errors_are_nobody_s_but_the_model_s(error):
    with pytest.raises(type(error)):
        forward(error)(torch.ones(3, 2))
