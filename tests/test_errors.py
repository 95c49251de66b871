import pickle

import pytest

from elephas_torch import errors
from elephas_torch.errors import nearest, unknown, unknown_arguments


@pytest.mark.parametrize(
    ("child", "builtin"),
    [
        (errors.DataError, ValueError),
        (errors.ModelFileError, ValueError),
        (errors.WorkerError, RuntimeError),
        (errors.WaitTimeout, TimeoutError),
        (errors.ServerError, RuntimeError),
        (errors.Refused, errors.ServerError),
        (errors.Unreachable, errors.ServerError),
        (errors.Fenced, errors.Refused),
        (errors.Restarted, errors.Refused),
    ],
)
def test_the_tree(child, builtin):
    assert issubclass(child, errors.ElephasError)
    with pytest.raises(builtin, match="why"):
        raise child("why")


def test_the_tree_in_the_docstring_is_the_tree():
    own = [
        one for one in vars(errors).values() if getattr(one, "__module__", "") == errors.__name__
    ]
    named = [one.__name__ for one in own if isinstance(one, type)]
    assert len(named) == 12
    for name in named:
        assert name in errors.__doc__


def test_refusals_carry_a_status():
    assert errors.Refused("no").status == 400
    assert errors.Refused("no", 413).status == 413
    assert errors.Fenced("older").status == 409
    assert errors.Restarted("anew").status == 410


@pytest.mark.parametrize("error", [errors.DataError("x"), errors.Refused("x", 422)])
def test_errors_can_be_sent(error):
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error) and str(again) == "x"
    assert vars(again) == vars(error)


def test_the_nearest_name():
    assert nearest("sdg", ["sgd", "adam"]) == " Did you mean 'sgd'?"
    assert nearest("zzz", ["sgd", "adam"]) == ""
    assert nearest("x", []) == ""


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("acuracy", "accuracy"),
        ("async", "asynchronous"),
        ("nb_epochs", "epochs"),
        ("num_worker", "num_workers"),
        ("probabilityCols", "probabilityCol"),
        ("relu", "ReLU"),
        ("val_acc", "val_accuracy"),
        ("vall_loss", "val_loss"),
        ("workers", "num_workers"),
    ],
)
def test_names_that_are_near(name, other):
    assert nearest(name, [other, "initial_epoch", "loss"]) == f" Did you mean {other!r}?"


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("max_queue_size", "batch_size"),
        ("sample_weight", "class_weight"),
        ("steps_per_epoch", "initial_epoch"),
        ("val_auc", "val_loss"),
        ("val_f1", "val_loss"),
        ("validationData", "validationSplit"),
        ("validation_data", "validation_split"),
        ("validation_steps", "validation_split"),
    ],
)
def test_names_of_one_family_are_not_near(name, other):
    assert nearest(name, [other]) == ""


def test_unknown_names():
    error = unknown("mode", "sync", ["synchronous", "hogwild"])
    assert isinstance(error, ValueError)
    assert str(error) == (
        "Unknown mode: 'sync'. Did you mean 'synchronous'? Known: hogwild, synchronous."
    )
    assert str(unknown("mode", 3, ["a"])) == "Unknown mode: 3. Known: a."


def test_of_many_names_only_near_ones_are_listed():
    names = [f"name{number}" for number in range(30)]
    message = str(unknown("thing", "name31", [*names, "other"], "https://example.org/"))
    assert message.startswith("Unknown thing: 'name31'. Did you mean 'name")
    assert message.endswith(". See https://example.org/")
    assert message.count("name") == 6 and "other" not in message
    assert str(unknown("thing", "zzz", names)) == (
        "Unknown thing: 'zzz'. Known: name0, name1, name10, name11, name12 … (30 in all)."
    )
    assert str(unknown("thing", "othr", [*names, "other"])) == (
        "Unknown thing: 'othr'. Did you mean 'other'?"
    )


def test_unknown_arguments():
    error = unknown_arguments("fit", ["epoch", "zzz"], ["epochs", "verbose"])
    assert isinstance(error, TypeError)
    assert str(error) == (
        "fit got an argument that it doesn't know: 'epoch'. Did you mean 'epochs'? 'zzz'. "
        "It takes: epochs, verbose."
    )
    error = unknown_arguments("fit", ["steps"], ["epochs"], {"steps": "All rows are taken."})
    assert str(error) == (
        "fit got an argument that it doesn't know: 'steps'. All rows are taken. It takes: epochs."
    )
