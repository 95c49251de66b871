import keras
import pytest

from elephas_torch.keras import layers
from elephas_torch.keras.layers.missing import MISSING


def test_every_layer_of_keras_is_here_or_said_to_be_missing():
    theirs = {
        name for name, one in vars(keras.layers).items() if isinstance(one, type) or name == "Input"
    }
    assert not {name for name in theirs if not hasattr(layers, name)} - MISSING.keys()
    assert not MISSING.keys() & set(layers.__all__)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("TextVectorization", r"no layer 'TextVectorization'.*keras.preprocessing.text.Tokenizer"),
        ("StringLookup", "sklearn"),
        ("RandomCrop", "torchvision"),
        ("Dens", "no layer 'Dens'. Did you mean 'Dense'"),
    ],
)
def test_what_is_not_here_says_what_to_use(name, message):
    with pytest.raises(AttributeError, match=message):
        getattr(layers, name)
