"""Estimators on real Spark."""

import logging

import numpy as np
import pytest
from pyspark.ml import Pipeline
from pyspark.ml.evaluation import (
    BinaryClassificationEvaluator,
    MulticlassClassificationEvaluator,
    RegressionEvaluator,
)
from pyspark.ml.feature import IndexToString, StandardScaler, StringIndexer, VectorAssembler

from elephas_torch import optimizers
from elephas_torch.keras import Sequential, callbacks, layers
from elephas_torch.ml import (
    ElephasClassificationModel,
    ElephasClassifier,
    ElephasEstimator,
    ElephasRegressionModel,
    ElephasRegressor,
    ElephasTransformer,
)


def test_the_fitted_model_keeps_what_is_known(rows, classified):
    assert type(classified) is ElephasClassificationModel
    assert (classified.numClasses, classified.numFeatures) == (3, 4)
    assert set(classified.history) >= {"loss", "accuracy"}
    assert len(classified.history["loss"]) == classified.summary.totalIterations == 12
    assert classified.summary.objectiveHistory[-1] < classified.summary.objectiveHistory[0]
    assert classified.hasSummary
    assert len(classified.training_histories) == 2
    assert classified.uid.startswith("ElephasEstimator_")
    found = classified.transform(rows)
    assert MulticlassClassificationEvaluator().evaluate(found) > 0.85
    assert MulticlassClassificationEvaluator(metricName="logLoss").evaluate(found) < 0.6


def test_the_seeds_form_trains_a_copy(spark_context, rows, make, caplog):
    model = make(3, "softmax", "categorical_crossentropy")
    before = [one.copy() for one in model.get_weights()]
    estimator = ElephasEstimator(
        spark_context, model, nb_epoch=1, batch_size=16, optimizer=optimizers.Adam(0.01),
        frequency="batch", mode="asynchronous", num_workers=2, verbose=0, validation_split=0.1,
        categorical=True, nb_classes=3,
    )  # fmt: skip
    with caplog.at_level(logging.INFO, "elephas_torch.ml"):
        fitted = estimator.fit(rows)
    assert "'categorical_crossentropy' says that ElephasClassificationModel" in caplog.text
    assert "val_loss" in fitted.history
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    assert model.optimizer.iterations == 0
    assert not np.array_equal(before[0], fitted.model.get_weights()[0])
    pairs = fitted.transform(rows).select("label", "prediction").head(3)
    assert all(isinstance(one.prediction, float) for one in pairs)


def test_a_pipeline_with_sparks_own_stages(rows, make):
    model = make(3, "softmax", "sparse_categorical_crossentropy")
    pipeline = Pipeline(
        stages=[
            StringIndexer(inputCol="name", outputCol="index", stringOrderType="alphabetDesc"),
            VectorAssembler(inputCols=["features"], outputCol="all"),
            StandardScaler(inputCol="all", outputCol="scaled"),
            ElephasClassifier(
                model=model, featuresCol="scaled", labelCol="index", epochs=8, batchSize=8,
                learningRate=0.02, weightCol="weight", validationIndicatorCol="held",
            ),
            IndexToString(inputCol="prediction", outputCol="said"),
        ]
    )  # fmt: skip
    fitted = pipeline.fit(rows)
    found = fitted.transform(rows)
    assert fitted.stages[3].labels == ["c", "b", "a"]
    assert "val_loss" in fitted.stages[3].history
    assert found.where("name = said").count() > 160
    about = found.schema["prediction"].metadata["ml_attr"]
    assert about == {"type": "nominal", "name": "prediction", "vals": ["c", "b", "a"]}


def test_regression_and_a_warm_start(rows, make):
    estimator = ElephasRegressor(
        model=make(1, None, "mse"), labelCol="sum", epochs=10, batchSize=8, learningRate=0.02
    )
    fitted = estimator.fit(rows)
    assert isinstance(fitted, ElephasRegressionModel)
    assert isinstance(fitted, ElephasTransformer)
    found = fitted.transform(rows)
    assert RegressionEvaluator(labelCol="sum", metricName="r2").evaluate(found) > 0.8
    assert fitted.predict([1.0, 1.0, 1.0, 1.0]) == pytest.approx(4.0, abs=1.5)
    warm = estimator.setInitialModel(fitted).setMaxIter(1).fit(rows)
    assert warm.history["loss"][0] < fitted.history["loss"][0] / 2


def test_binary_multilabel_and_arrays(rows, make):
    binary = ElephasClassifier(
        model=make(1, "sigmoid", "binary_crossentropy"), labelCol="sign", epochs=6, batchSize=8,
        learningRate=0.02, numWorkers=1,
    ).fit(rows)  # fmt: skip
    found = binary.transform(rows)
    assert binary.numClasses == 2
    assert BinaryClassificationEvaluator(labelCol="sign").evaluate(found) > 0.95
    several = ElephasEstimator(
        make(2, "sigmoid", "binary_crossentropy"), labelCol="signs", epochs=1, numWorkers=1
    ).fit(rows)
    assert several.task.kind == "multilabel"
    assert set(several.transform(rows).head().prediction) <= {0.0, 1.0}
    coder = ElephasEstimator(make(4, None, "mse"), labelCol="features", epochs=1, numWorkers=1)
    first = coder.fit(rows).transform(rows).head().prediction
    assert isinstance(first, list)
    assert len(first) == 4


def test_models_without_a_shape_and_classes_under_any_loss(rows):
    model = Sequential([layers.Dense(3, activation="softmax")])
    model.compile("adam", "mse")
    fitted = ElephasEstimator(model, epochs=1, categorical=True, numWorkers=1).fit(rows)
    assert fitted.task.kind == "classification"
    assert fitted.numFeatures == 4
    assert not model.built


def test_lists_of_params_give_a_model_each_from_the_same_start(rows, make):
    early = callbacks.EarlyStopping("loss", patience=5)
    estimator = ElephasClassifier(
        model=make(3, "softmax", "categorical_crossentropy"), callbacks=[early], numWorkers=1,
        seed=1, batchSize=20,
    )  # fmt: skip
    maps = [{estimator.epochs: 1}, {estimator.nb_epoch: 2, estimator.predictionCol: "said"}]
    one, two = estimator.fit(rows, maps)
    assert [len(fitted.history["loss"]) for fitted in (one, two)] == [1, 2]
    assert one.history["loss"][0] == pytest.approx(two.history["loss"][0], rel=1e-4)
    assert two.getPredictionCol() == "said"
    assert one.uid == two.uid == estimator.uid


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"labelCol": "labl"}, "no column 'labl' .labelCol.*mean 'label'.*It has: id, name"),
        ({"labelCol": "name"}, "of strings.*StringIndexer"),
        ({"featuresCol": "feature"}, "no column 'feature' .featuresCol.*'features'"),
        ({"featuresCols": ["id", "nome"]}, "no column 'nome'"),
        ({"nbClasses": 4}, "nbClasses is 4"),
        ({"loss": "mse"}, "ElephasRegressor"),
        ({"loss": "categorical_crossentropi"}, "Did you mean 'categorical_crossentropy'"),
        ({"metrics": ["acuracy"]}, "Did you mean 'accuracy'"),
        ({"weightCol": "wait"}, "wait"),
    ],
)
def test_what_doesnt_fit_is_told_before_any_job(rows, make, params, message):
    model = make(3, "softmax", "categorical_crossentropy")
    tracker = rows.sparkSession.sparkContext.statusTracker()
    before = set(tracker.getJobIdsForGroup())
    with pytest.raises(ValueError, match=message):
        ElephasClassifier(model=model, **params).fit(rows)
    assert set(tracker.getJobIdsForGroup()) == before


def test_mllib_vectors_train_and_score(spark, make):
    from pyspark.mllib.linalg import Vectors

    dense = [Vectors.dense([n % 2, 1.0, 0.0, 1 - n % 2]) for n in range(40)]
    sparse = [Vectors.sparse(4, [n % 2 * 3], [2.0]) for n in range(40)]
    vectors = [d if n % 3 else s for n, (d, s) in enumerate(zip(dense, sparse, strict=True))]
    rows = [(n, vector, float(n % 2)) for n, vector in enumerate(vectors)]
    frame = spark.createDataFrame(rows, ["id", "features", "label"])
    model = make(2, "softmax", "sparse_categorical_crossentropy")
    fitted = ElephasClassifier(model=model, epochs=2, numWorkers=1).fit(frame)
    found = fitted.transform(frame).orderBy("id").select("probability").collect()
    x = np.array([vector.toArray() for vector in vectors])
    np.testing.assert_allclose(
        [row[0].toArray() for row in found], fitted.model.predict(x, verbose=0), rtol=1e-5
    )
