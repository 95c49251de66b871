import keras
import numpy as np
import pytest
import torch

from elephas_torch.keras import Input, InputSpec, layers

SPECS = [
    ({"ndim": 3}, (2, 4, 5), (2, 4)),
    ({"max_ndim": 2}, (2, 4), (2, 4, 5)),
    ({"min_ndim": 3}, (2, 4, 5, 6), (2, 4)),
    ({"axes": {-1: 4}}, (2, 7, 4), (2, 7, 5)),
    ({"shape": (None, None, 4)}, (2, 9, 4), (2, 9, 5)),
]


def specified(k, **arguments):
    class Own(k.layers.Layer):
        def __init__(self):
            super().__init__(name="own")
            self.input_spec = k.layers.InputSpec(**arguments)

        def call(self, inputs):
            return inputs

    return Own()


class Ours:
    layers = layers


@pytest.mark.parametrize(("arguments", "fits", "wrong"), SPECS)
def test_what_fits_is_what_keras_says(arguments, fits, wrong):
    for k in (Ours, keras):
        assert tuple(specified(k, **arguments)(torch.ones(fits)).shape) == fits
        with pytest.raises(ValueError, match=r"own"):
            specified(k, **arguments)(torch.ones(wrong))


def test_symbolic_inputs_and_several_are_checked():
    layer = specified(Ours, ndim=3)
    layer.build((None, 4, 5))
    with pytest.raises(ValueError, match=r"'own' \(Own\) expects inputs with 3 axes. Received"):
        layer(Input((4,)))

    class Both(layers.Layer):
        def __init__(self):
            super().__init__()
            self.input_spec = [InputSpec(ndim=2), InputSpec(ndim=3)]

        def call(self, inputs):
            return inputs[0]

    assert Both()([torch.ones(1, 2), torch.ones(1, 2, 3)]).shape == (1, 2)
    with pytest.raises(ValueError, match=r"3 axes. Received: inputs of shape \(None, 2\)"):
        Both()([torch.ones(1, 2), torch.ones(1, 2)])
    assert repr(InputSpec(ndim=3)) == "InputSpec(ndim=3)"
    assert np.array_equal(InputSpec(shape=(None, 3)).ndim, 2)
