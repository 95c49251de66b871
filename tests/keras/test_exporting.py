import io
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch

from elephas_torch.errors import ElephasError
from elephas_torch.keras import Input, Model, Sequential, layers


def mlp():
    return Sequential(
        [
            layers.Dense(8, input_dim=4, activation="relu"), layers.Dropout(0.5),
            layers.BatchNormalization(), layers.Dense(3, activation="softmax"),
        ]
    )  # fmt: skip


def cnn():
    return Sequential(
        [
            Input((8, 8, 1)), layers.Conv2D(4, 3, padding="same", strides=2),
            layers.MaxPooling2D(), layers.Flatten(), layers.Dense(2),
        ]
    )  # fmt: skip


def lstm():
    return Sequential([Input((6,)), layers.Embedding(10, 4), layers.LSTM(3), layers.Dense(2)])


def branches():
    first, second = Input((4,), name="first"), Input((4,), name="second")
    shared = layers.Dense(3)
    return Model([first, second], {"sum": shared(first) + shared(second), "one": shared(first)})


def arrays(model, rows):
    shapes = model.input_shape
    shapes = shapes if isinstance(shapes, list) else [shapes]
    rng = np.random.default_rng(0)
    for shape, dtype in zip(shapes, model.input_dtypes, strict=True):
        values = rng.integers(0, 5, size=(rows, *shape[1:]))
        yield torch.tensor(values, dtype=dtype)


def flat(outputs):
    return list(outputs.values()) if isinstance(outputs, dict) else [outputs]


@pytest.mark.parametrize("make", [mlp, cnn, lstm, branches])
@pytest.mark.parametrize("rows", [1, 5])
def test_a_torch_module_computes_the_same(make, rows):
    model = make()
    module = model.to_torch()
    inputs = list(arrays(model, rows))
    expected = model(inputs if len(inputs) > 1 else inputs[0])
    for a, b in zip(flat(module(*inputs)), flat(expected), strict=True):
        torch.testing.assert_close(a, b)


def stacked():
    return Sequential([Input((4, 3)), layers.RNN([layers.LSTMCell(3), layers.GRUCell(2)])])


def ranks():
    start = Input((4,))
    return Model(start, layers.add([layers.Dense(3)(start), layers.RepeatVector(2)(start[:, :3])]))


@pytest.mark.parametrize("make", [stacked, ranks])
def test_any_number_of_rows_is_taken(make):
    model = make()
    module = model.to_torch()
    for rows in (1, 2, 5):
        (inputs,) = arrays(model, rows)
        torch.testing.assert_close(module(inputs.float()), model(inputs.float()))


def test_a_model_of_fixed_batches_is_exported_with_them():
    model = Sequential([Input((6,), batch_size=2), layers.Lambda(lambda x: x.reshape(2, 3, 2))])
    assert model.input_shape == (2, 6)
    assert model.to_torch()(torch.ones(2, 6)).shape == (2, 3, 2)


def test_models_of_mixed_precision_are_exported_in_float32():
    model = Sequential([Input((4,)), layers.Dense(3, dtype="mixed_bfloat16"), layers.Dense(2)])
    module = model.to_torch()
    x = torch.rand(5, 4)
    assert module(x).dtype == torch.float32
    torch.testing.assert_close(module(x), model(x), rtol=2e-2, atol=2e-2)
    assert model.layers[0].compute_dtype == "bfloat16"
    for again in (mlp(), lstm()):
        again.to_torch()


def test_what_layers_add_to_the_loss_stays_outside():
    model = Sequential([Input((4,)), layers.Dense(4, activity_regularizer="l2")])
    x = torch.rand(5, 4)
    torch.testing.assert_close(model.to_torch()(x), model(x))


def test_nothing_of_this_package_is_in_it(tmp_path):
    model = mlp()
    x = torch.ones(2, 4)
    torch.save(model.to_torch(), tmp_path / "module.pt")
    script = """
        import sys
        sys.modules["elephas_torch"] = None  # can't be imported
        import torch
        module = torch.load(sys.argv[1], weights_only=False)
        print(module(torch.ones(2, 4)).tolist())
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), str(tmp_path / "module.pt")],
        capture_output=True, text=True, check=True, cwd=tmp_path,
    )  # fmt: skip
    assert done.stdout.strip() == str(model(x).tolist())


def test_it_can_be_trained_and_exported_again():
    model = mlp()
    module = model.to_torch()
    before = {name: p.detach().clone() for name, p in module.named_parameters()}
    assert set(before) == {name for name, _ in model.named_parameters()}
    module(torch.ones(2, 4)).square().sum().backward()
    torch.optim.SGD(module.parameters(), 0.1).step()
    changed = [name for name, p in module.named_parameters() if not torch.equal(p, before[name])]
    assert "dense.kernel" in str(changed) or len(changed) >= 4
    program = torch.export.export(module, (torch.ones(3, 4),))
    torch.testing.assert_close(program.module()(torch.ones(3, 4)), module(torch.ones(3, 4)))
    traced = torch.jit.trace(module, torch.ones(3, 4))
    torch.testing.assert_close(traced(torch.ones(2, 4)), module(torch.ones(2, 4)))
    assert torch.equal(next(model.parameters()), next(iter(before.values())))


def test_export_writes_a_file_that_torch_reads(tmp_path):
    model = mlp()
    model.export(tmp_path / "model.pt2")
    program = torch.export.load(io.BytesIO((tmp_path / "model.pt2").read_bytes()))
    torch.testing.assert_close(program.module()(torch.ones(2, 4)), model(torch.ones(2, 4)))


def test_what_cannot_be_exported_says_why(tmp_path):
    class Looks(layers.Layer):
        def call(self, inputs):
            return inputs * 2 if float(inputs.sum()) > 0 else inputs

    with pytest.raises(ElephasError, match=r"can't be exported: torch.export says"):
        Sequential([Input((3,)), Looks()]).to_torch()
    with pytest.raises(ElephasError, match=r"Layer 'state' \(GRU\) is stateful"):
        Sequential([Input((4, 3)), layers.GRU(2, stateful=True, name="state")]).to_torch()
    with pytest.raises(ValueError, match="has no weights yet"):
        Sequential([layers.Dense(3)]).to_torch()
    with pytest.raises(ValueError, match="Unknown export format: 'onnx'"):
        mlp().export(tmp_path / "x", format="onnx")
    with pytest.raises(FileNotFoundError, match="no folder"):
        mlp().export(tmp_path / "no" / "x.pt2")


class Short(layers.Layer):
    def call(self, inputs):
        with torch.autocast("cpu", torch.bfloat16):
            return (inputs @ torch.ones(4, 2)).float()


def test_a_layer_may_cast_by_itself(tmp_path):
    model = Sequential([Input((4,)), Short()])
    x = torch.rand(5, 4)
    plain = model.to_torch()
    torch.testing.assert_close(plain(x), model(x))
    model.export(tmp_path / "model.pt2")
    torch.testing.assert_close(torch.export.load(tmp_path / "model.pt2").module()(x), model(x))
