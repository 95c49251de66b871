"""Names and configs: the user's own objects come first, unknown names get the nearest one."""

import pytest

from elephas_torch.keras import activations, identifiers, initializers, losses, metrics
from elephas_torch.keras.serialization import custom_object_scope, register_keras_serializable


class Known:
    def get_config(self):
        return {"a": 1}


class KnownToo(Known):
    pass


TABLE = identifiers.both_spellings([Known, KnownToo])


def test_classes_go_by_both_spellings():
    assert {
        "Known": Known, "known": Known, "KnownToo": KnownToo, "known_too": KnownToo,
    } == TABLE  # fmt: skip


def test_the_user_s_own_comes_first():
    assert identifiers.find("thing", "known", TABLE) is Known
    with custom_object_scope({"known": KnownToo}):
        assert identifiers.find("thing", "known", TABLE) is KnownToo


def test_an_unknown_name_gets_the_nearest():
    with pytest.raises(ValueError, match=r"Unknown thing: 'knwon'\. Did you mean 'known'"):
        identifiers.find("thing", "knwon", TABLE)


@pytest.mark.parametrize(
    ("get", "name", "near", "page"),
    [
        (losses.get, "mssse", "'mse'? Near it too: msle, mae.", "losses/"),
        (metrics.get, "acuracy", "'accuracy'? Near it too: BinaryAccuracy,", "metrics/"),
        (activations.get, "rleu", "'relu'? Near it too: relu6,", "layers/activations/"),
        (initializers.get, "golrot", "'glorot_normal'? Near it too:", "layers/initializers/"),
        (losses.get, "zzzz", "Known: BCE, BinaryCrossentropy,", "losses/"),
    ],
)
def test_of_many_names_the_near_ones_are_told(get, name, near, page):
    with pytest.raises(ValueError, match=f"^Unknown .*: '{name}'") as caught:
        get(name)
    message = str(caught.value)
    assert near in message and message.endswith(f" See https://keras.io/api/{page}")
    assert len(message) < 220


def test_a_description_is_found_by_its_registered_name():
    @register_keras_serializable(package="tests_identifiers", name="mine")
    class Own(Known):
        pass

    description = identifiers.described(Own(), "keras.things", [Known])
    assert description["class_name"] == "Own"
    assert description["registered_name"] == "tests_identifiers>mine"
    assert identifiers.find_described("thing", description, TABLE) is Own


def test_ours_are_described_as_keras_describes_its_own():
    assert identifiers.described(Known(), "keras.things", [Known]) == {
        "module": "keras.things", "class_name": "Known", "config": {"a": 1},
        "registered_name": None,
    }  # fmt: skip
    own = identifiers.described(KnownToo(), "keras.things", [Known])
    assert (own["module"], own["registered_name"]) == (__name__, "KnownToo")


def test_names_of_functions():
    def MyLoss():
        pass

    assert identifiers.name_of(MyLoss) == "MyLoss"
    assert identifiers.shown_name(MyLoss) == "my_loss"
    assert identifiers.shown_name(lambda: 0) == "lambda"
    assert identifiers.name_of(Known()) == "Known"
