"""The settings of a `SparkModel`, all in one place."""

import json
from dataclasses import FrozenInstanceError

import pytest

from elephas_torch.config import NAMES, Config
from elephas_torch.keras.layers import Dense
from elephas_torch.keras.models import Sequential
from elephas_torch.parameter import tls
from elephas_torch.spark_model import SparkModel


def spark_model(**settings):
    model = Sequential([Dense(1, input_dim=2)])
    model.compile(loss="mse", optimizer="sgd")
    return SparkModel(model, **settings)


def test_what_is_kept_makes_the_same_again():
    config = Config(mode="synchronous", optimizer="adam", compression="topk", seed=3, lease=5)
    again = Config(**json.loads(json.dumps(config.to_dict())))
    assert again.to_dict() == config.to_dict()
    assert (again.compression, again.lease, again.seed) == (("topk", 0.01), 5.0, 3)


def test_it_stays_as_it_is():
    with pytest.raises(FrozenInstanceError):
        Config().mode = "hogwild"


def test_files_and_passwords_are_neither_shown_nor_kept(tmp_path):
    made = tls.made(["127.0.0.1"])
    (tmp_path / "all.pem").write_text(made.certificate + made.key)
    config = Config(ssl_certfile=tmp_path / "all.pem", ssl_keyfile_password="hunter2")
    assert "hunter2" not in repr(config) + repr(config.to_dict())
    assert [name for name in config.to_dict() if name.startswith("ssl")] == ["ssl"]
    assert config.to_dict()["ssl"] is True


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"exchange": "allreduce"}, "exchange='allreduce' is for mode='synchronous'"),
        ({"exchange": "allreduce", "mode": "synchronous", "overlap": True}, "overlap=True is for"),
        ({"exchange": "allreduce", "num_shards": 2}, "num_shards is for exchange='server'"),
        ({"exchange": "allreduce", "compression": "int8"}, "compression is for exchange='server'"),
        ({"mode": "synchronous", "quorum": 0.5, "num_shards": 2}, "are for num_shards=1"),
        ({"gpus_per_task": 1, "device": "cpu"}, "GPUs, which go unused with this `device`"),
        ({"slots_timeout": 0}, "`slots_timeout` must be a number above 0"),
        ({"shared_memory": "yes"}, "`shared_memory` must be True or False"),
        ({"server_restarts": -1}, "`server_restarts` must be a whole number, 0 or more"),
    ],
)
def test_what_can_not_be(settings, message):
    with pytest.raises(ValueError, match=message):
        Config(**settings)


def test_settings_are_attributes_of_a_spark_model():
    made = spark_model(lease=7)
    assert [getattr(made, name) for name in NAMES] == [getattr(made.config, name) for name in NAMES]
    made.mode = "hogwild"
    assert (made.mode, made.get_config()["mode"], made.lease) == ("hogwild", "hogwild", 7.0)
    with pytest.raises(ValueError, match="Unknown mode: 'sync'"):
        made.mode = "sync"
    with pytest.raises(AttributeError, match="'SparkModel' object has no attribute 'modes'"):
        print(made.modes)
