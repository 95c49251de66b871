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


def test_unknown_names():
    error = unknown("mode", "sync", ["synchronous", "hogwild"])
    assert isinstance(error, ValueError)
    assert str(error) == (
        "Unknown mode: 'sync'. Did you mean 'synchronous'? Known: hogwild, synchronous."
    )
    assert str(unknown("mode", 3, ["a"])) == "Unknown mode: 3. Known: a."


def test_of_many_names_only_near_ones_are_listed():
    names = [f"name_{number}" for number in range(30)]
    message = str(unknown("thing", "name_31", [*names, "other"], "https://example.org/"))
    assert message.startswith("Unknown thing: 'name_31'. Did you mean 'name_")
    assert message.endswith(". See https://example.org/")
    assert message.count("name_") == 6 and "other" not in message
    assert str(unknown("thing", "zzz", names)) == (
        "Unknown thing: 'zzz'. Known: name_0, name_1, name_10, name_11, name_12 … (30 in all)."
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
