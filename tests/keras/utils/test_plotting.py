import shutil

import pytest

from elephas_torch.keras import Input, Model, Sequential, layers
from elephas_torch.keras.utils import model_to_dot, plot_model

pydot = pytest.importorskip("pydot")


def branched():
    first, second = Input((4,), name="first"), Input((4,), name="second")
    shared = layers.Dense(3, name="shared", activation="relu")
    inner = Sequential(
        [Input((3,)), layers.Dense(2, name="deep"), layers.Dense(2, name="deeper")], name="inner"
    )
    left = layers.Dense(2, name="last", trainable=False)(inner(shared(first)))
    return Model([first, second], [left, shared(second) + 1.0], name="net")


def edges(graph):
    found = {(e.get_source().strip('"'), e.get_destination().strip('"')) for e in graph.get_edges()}
    for part in graph.get_subgraphs():
        found |= edges(part)
    return found


def test_a_chain():
    stack = [layers.Dense(n, name=f"d{n}", input_dim=2) for n in (2, 3)]
    graph = model_to_dot(Sequential([*stack, layers.Dense(1, name="d1")]), rankdir="LR")
    assert edges(graph) == {("d2", "d3"), ("d3", "d1")}
    assert graph.get_rankdir() == "LR"


def test_branches_and_what_is_shown():
    graph = model_to_dot(
        branched(), show_shapes=True, show_dtype=True, show_layer_activations=True,
        show_trainable=True,
    )  # fmt: skip
    assert {("first", "shared"), ("second", "shared"), ("shared", "inner")} <= edges(graph)
    assert ("inner", "last") in edges(graph)
    text = graph.to_string()
    for part in (
        "shared (Dense)", "activation: relu", "in: (None, 4) float32", "out: (None, 3) float32",
        "frozen", "(Add)",
    ):  # fmt: skip
        assert part in text
    assert "deep" not in text
    assert "None" not in model_to_dot(branched()).to_string()


def test_nested_models_are_boxes_on_demand():
    graph = model_to_dot(branched(), expand_nested=True)
    assert [part.get_label() for part in graph.get_subgraphs()] == ['"inner"']
    assert {
        ("shared", "inner/deep"), ("inner/deep", "inner/deeper"), ("inner/deeper", "last"),
    } <= edges(graph)  # fmt: skip


def test_text_needs_no_graphviz_and_can_be_read_again(tmp_path):
    model = branched()
    path = plot_model(model, tmp_path / "net.dot", show_layer_names=True)
    (again,) = pydot.graph_from_dot_file(str(path))
    assert edges(again) == edges(model_to_dot(model))
    assert len(edges(again)) == 5


def test_pictures(tmp_path):
    if shutil.which("dot") is None:
        with pytest.raises(ImportError, match=r"needs Graphviz.*to_file='model.dot'"):
            plot_model(branched(), tmp_path / "net.png")
        return
    assert plot_model(branched(), tmp_path / "net.png").read_bytes()[:4] == b"\x89PNG"


def test_wrong_arguments():
    with pytest.raises(ValueError, match="Unknown rankdir: 'UP'"):
        model_to_dot(branched(), rankdir="UP")
    with pytest.raises(TypeError, match="show_shape"):
        model_to_dot(branched(), show_shape=True)
    with pytest.raises(ValueError, match="no weights yet"):
        model_to_dot(Sequential([layers.Dense(3)]))


@pytest.mark.parametrize("bad", [3, None, "model", layers.Dense(2)])
def test_what_is_no_model_is_refused(bad, tmp_path):
    with pytest.raises(TypeError, match=r"plot_model: `model` must be a Model.*model="):
        plot_model(bad, tmp_path / "m.dot")
    with pytest.raises(TypeError, match=r"model_to_dot: `model` must be a Model.*model="):
        model_to_dot(bad)
