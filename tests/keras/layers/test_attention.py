import keras
import pytest
import torch

from elephas_torch.keras import Model, layers

#: Name, arguments: what is held beside Keras.
CASES = [
    ("Attention", {}),
    ("Attention", {"use_scale": True}),
    ("Attention", {"score_mode": "concat"}),
    ("Attention", {"score_mode": "concat", "use_scale": True}),
    ("AdditiveAttention", {}),
    ("AdditiveAttention", {"use_scale": False}),
]
QUERY, VALUE = (3, 4, 5), (3, 6, 5)
#: Rows padded right, left, and left out as a whole.
QUERY_MASK = torch.tensor([[1, 1, 1, 0], [0, 0, 1, 1], [0, 0, 0, 0]]).bool()
VALUE_MASK = torch.tensor([[1, 1, 1, 1, 0, 0], [0, 1, 0, 1, 1, 1], [0, 0, 0, 0, 0, 0]]).bool()


def both(name, kwargs):
    return getattr(layers, name)(**kwargs), getattr(keras.layers, name)(**kwargs)


def inputs(keys):
    several = [torch.randn(QUERY), torch.randn(VALUE)]
    return [*several, torch.randn(VALUE)] if keys else several


@pytest.mark.parametrize(("name", "kwargs"), CASES)
@pytest.mark.parametrize("keys", [False, True])
@pytest.mark.parametrize("call", [{}, {"return_attention_scores": True, "use_causal_mask": True}])
@pytest.mark.parametrize(
    "masks", [None, [QUERY_MASK, VALUE_MASK], [None, VALUE_MASK], [QUERY_MASK, None]]
)
def test_attention_is_keras_s(beside, same_config, name, kwargs, keys, call, masks):
    ours, theirs = both(name, kwargs)
    masks = [[*masks, None] if keys else masks] if masks else None
    beside(ours, theirs, inputs(keys), masks=masks, **call)
    same_config(ours, theirs)


@pytest.mark.parametrize(("name", "kwargs"), CASES)
def test_dropout_is_keras_s(beside, name, kwargs):
    ours, theirs = both(name, {**kwargs, "dropout": 0.4})
    beside(ours, theirs, inputs(False), training=True, return_attention_scores=True)


@pytest.mark.parametrize("name", ["Attention", "AdditiveAttention"])
def test_it_is_part_of_functional_models(name):
    query, value = layers.Input((4, 5)), layers.Input((None, 5))
    outputs, scores = getattr(layers, name)()([query, value], return_attention_scores=True)
    assert outputs.shape == (None, 4, 5)
    assert scores.shape == (None, 4, None)
    model = Model([query, value], [outputs, scores])
    found = model([torch.randn(QUERY), torch.randn(VALUE)])
    assert [tuple(one.shape) for one in found] == [(3, 4, 5), (3, 4, 6)]


def test_a_seed_is_its_own_generator():
    x = inputs(False)
    first, second = (layers.Attention(dropout=0.5, seed=3)(x, training=True) for _ in range(2))
    assert torch.equal(first, second)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (torch.ones(2, 3, 4), r"'a' \(Attention\) must be called on \[query, value\]"),
        ([torch.ones(2, 3, 4)], r"\[query, value\]"),
        ([torch.ones(2, 3, 4), torch.ones(2, 3, 5)], r"query of shape \(None, 3, 4\), value of"),
        ([torch.ones(2, 3, 4), torch.ones(2, 3, 5), torch.ones(2, 2, 4)], "as many values as"),
    ],
)
def test_inputs_that_do_not_fit_are_named(given, message):
    with pytest.raises(ValueError, match=message):
        layers.Attention(name="a")(given)


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="Did you mean 'concat'"):
        layers.Attention(score_mode="conat")
    with pytest.raises(ValueError, match=r"AdditiveAttention: .*Received: dropout=2"):
        layers.AdditiveAttention(dropout=2)
    layer = layers.Attention(name="a")
    with pytest.raises(ValueError, match="`mask` must be"):
        layer(inputs(False), mask=QUERY_MASK)
