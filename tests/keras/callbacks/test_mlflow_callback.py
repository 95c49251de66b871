"""`MlflowCallback` against a store of MLflow's own, read back by its client."""

import builtins
import logging

import pytest

from elephas_torch.keras.callbacks import Callback, LambdaCallback, MlflowCallback, mlflow_callback
from elephas_torch.keras.models import load_model
from elephas_torch.spark_model import SparkModel
from elephas_torch.utils.rdd_utils import to_simple_rdd

PIP = "pip install 'elephas-torch[mlflow]'"


@pytest.fixture
def mlflow(tmp_path, monkeypatch):
    found = pytest.importorskip("mlflow", reason=f"MLflow isn't here: {PIP}")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # that of a database needs SQLAlchemy
    found.set_tracking_uri((tmp_path / "store").as_uri())
    yield found
    found.end_run()
    found.set_tracking_uri(None)


def runs(mlflow):
    return mlflow.tracking.MlflowClient().search_runs(["0"], order_by=["start_time ASC"])


def values(mlflow, run, name):
    found = mlflow.tracking.MlflowClient().get_metric_history(run.info.run_id, name)
    return {one.step: one.value for one in found}


def test_a_training_is_a_run(mlflow, compiled, data):
    model = compiled()
    callback = MlflowCallback(log_models=True, run_name="small")
    fit = {"epochs": 3, "batch_size": 5, "verbose": 0, "validation_split": 0.2}
    history = model.fit(*data, callbacks=callback, **fit).history
    [run] = runs(mlflow)
    assert run.info.run_id == callback.run_id and run.info.run_name == "small"
    assert run.info.status == "FINISHED" and mlflow.active_run() is None
    for name in ("loss", "mae", "val_loss", "val_mae"):
        assert values(mlflow, run, name) == dict(enumerate(history[name]))
    assert values(mlflow, run, "learning_rate") == {0: 0.01, 1: 0.01, 2: 0.01}
    params = run.data.params
    assert (params["epochs"], params["steps"], params["weights"]) == ("3", "4", "10")
    assert (params["optimizer_name"], params["optimizer_momentum"]) == ("sgd", "0.9")
    assert params["loss"] == "MeanSquaredError"

    client = mlflow.tracking.MlflowClient()
    folder = client.download_artifacts(run.info.run_id, "")
    with open(f"{folder}/model_summary.txt") as file:
        assert "Total params: 10" in file.read()
    loaded = load_model(f"{folder}/model/{model.name}.keras")
    assert (loaded.get_weights()[0] == model.get_weights()[0]).all()


def test_a_run_of_one_s_own_is_used_and_not_ended(mlflow, compiled, data):
    model = compiled()
    with mlflow.start_run() as run:
        model.fit(*data, epochs=1, verbose=0, callbacks=MlflowCallback())
        model.fit(*data, epochs=2, initial_epoch=1, verbose=0, callbacks=MlflowCallback())
        assert mlflow.active_run().info.run_id == run.info.run_id
    [found] = runs(mlflow)
    assert list(values(mlflow, found, "loss")) == [0, 1]


@pytest.mark.parametrize("error, status", [(ValueError, "FAILED"), (KeyboardInterrupt, "KILLED")])
def test_a_training_that_fails_is_a_failed_run(mlflow, compiled, data, error, status):
    def fail(epoch, logs):
        raise error

    callbacks = [MlflowCallback(), LambdaCallback(on_epoch_end=fail)]
    with pytest.raises(error):
        compiled().fit(*data, verbose=0, callbacks=callbacks)
    assert runs(mlflow)[0].info.status == status and mlflow.active_run() is None


def test_steps_in_place_of_epochs(mlflow, compiled, data):
    callback = MlflowCallback(log_every_epoch=False, log_every_n_steps=2)
    compiled().fit(*data, epochs=2, batch_size=5, verbose=0, callbacks=callback)
    assert list(values(mlflow, runs(mlflow)[0], "loss")) == [2, 4, 6, 8, 10]


class Away(Callback):
    """Takes the store away after the first epoch, and brings it back after the third."""

    def __init__(self, store, back=2):
        super().__init__()
        self.store, self.back = store, back

    def on_epoch_end(self, epoch, logs=None):
        if epoch == 0:
            self.store.rename(self.store.with_name("away"))
        elif epoch == self.back:
            if self.store.exists():  # MLflow has made an empty one
                self.store.rename(self.store.with_name("empty"))
            self.store.with_name("away").rename(self.store)


def test_a_store_that_fails_for_a_while_ends_no_training(
    mlflow, compiled, data, tmp_path, caplog, monkeypatch
):
    monkeypatch.setattr(mlflow_callback, "PAUSE", 0.0)
    callbacks = [MlflowCallback(), Away(tmp_path / "store")]
    history = compiled().fit(*data, epochs=4, verbose=0, callbacks=callbacks).history
    [run] = runs(mlflow)
    assert values(mlflow, run, "loss") == dict(enumerate(history["loss"]))
    assert run.info.status == "FINISHED"
    warned = [one for one in caplog.records if one.levelno == logging.WARNING]
    warned = [one for one in warned if one.name.startswith("elephas_torch")]
    assert ["MLflow fails" in one.getMessage() for one in warned] == [True]


def test_a_failed_store_isn_t_asked_each_epoch_and_what_is_lost_is_told(
    mlflow, compiled, data, tmp_path, caplog
):
    callbacks = [MlflowCallback(), Away(tmp_path / "store", back=None)]
    compiled().fit(*data, epochs=4, verbose=0, callbacks=callbacks)
    told = [one.getMessage() for one in caplog.records if one.name.startswith("elephas_torch")]
    assert len(told) == 2 and "9 values could not be sent" in told[1]


def test_a_store_that_fails_at_the_beginning_is_an_error(mlflow, compiled, data, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    mlflow.set_tracking_uri("http://127.0.0.1:9")
    with pytest.raises(mlflow.exceptions.MlflowException):
        compiled().fit(*data, verbose=0, callbacks=MlflowCallback())


def test_arguments_are_checked(mlflow):
    with pytest.raises(ValueError, match="log_every_n_steps=3"):
        MlflowCallback(log_every_n_steps=3)
    with pytest.raises(ValueError, match="log_every_n_steps=None"):
        MlflowCallback(log_every_epoch=False)
    with pytest.raises(ValueError, match="`log_every_n_steps` must be a whole number"):
        MlflowCallback(False, 0)


def test_without_mlflow_the_error_says_what_to_install(monkeypatch):
    real = builtins.__import__

    def absent(name, *args, **kwargs):
        if name == "mlflow":
            raise ImportError(f"No module named {name!r}")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(ImportError, match=r'pip install "elephas-torch\[mlflow\]"'):
        MlflowCallback()


@pytest.mark.spark
def test_a_fit_on_spark_is_a_run(mlflow, spark_context, compiled, data):
    rdd = to_simple_rdd(spark_context, *data)
    spark_model = SparkModel(compiled(), mode="synchronous", num_workers=2, batch_size=4)
    history = spark_model.fit(rdd, epochs=2, verbose=0, callbacks=MlflowCallback()).history
    [run] = runs(mlflow)
    assert values(mlflow, run, "loss") == dict(enumerate(history["loss"]))
    params = run.data.params
    assert (params["spark_mode"], params["spark_num_workers"]) == ("synchronous", "2")
    assert (params["spark_batch_size"], params["epochs"]) == ("4", "2")
    with pytest.warns(UserWarning, match="MlflowCallback: hooks at batches are not called"):
        spark_model.fit(rdd, verbose=0, callbacks=MlflowCallback(False, 1))
