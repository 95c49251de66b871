"""Spark's own tuning and reductions over the estimators."""

import pytest
from pyspark.ml.classification import OneVsRest
from pyspark.ml.evaluation import MulticlassClassificationEvaluator, RegressionEvaluator
from pyspark.ml.tuning import CrossValidator, ParamGridBuilder, TrainValidationSplit

from elephas_torch.ml import ElephasClassificationModel, ElephasClassifier, ElephasRegressor


def test_a_grid_over_builders_rates_and_epochs_in_parallel(rows, make):
    def wide(units, learning_rate):
        assert learning_rate == 0.02
        return make(3, "softmax", "categorical_crossentropy", hidden=units)

    def numbered(params):
        return make(3, "softmax", "sparse_categorical_crossentropy", hidden=params["batchSize"])

    estimator = ElephasClassifier(learningRate=0.02, numWorkers=1, modelParams={"units": 8})
    grid = (
        ParamGridBuilder()
        .addGrid(estimator.modelBuilder, [wide, numbered])
        .baseOn({estimator.batch_size: 8, estimator.maxIter: 5, estimator.predictionCol: "said"})
        .build()
    )
    tuned = TrainValidationSplit(
        estimator=estimator, estimatorParamMaps=grid, parallelism=2, seed=1,
        evaluator=MulticlassClassificationEvaluator(predictionCol="said"), collectSubModels=True,
    ).fit(rows)  # fmt: skip
    assert len(tuned.validationMetrics) == 2
    assert min(tuned.validationMetrics) > 0.5
    assert [one.model.loss.name for one in tuned.subModels] == [
        "categorical_crossentropy", "sparse_categorical_crossentropy",
    ]  # fmt: skip
    assert {one.model.layers[0].units for one in tuned.subModels} == {8}
    assert isinstance(tuned.bestModel, ElephasClassificationModel)
    assert "said" in tuned.transform(rows).columns


def test_cross_validation_of_a_regressor(rows, make):
    estimator = ElephasRegressor(
        model=make(1, None, "mse"), labelCol="sum", batchSize=8, numWorkers=1, epochs=4
    )
    grid = ParamGridBuilder().addGrid(estimator.learningRate, [1e-5, 0.02]).build()
    tuned = CrossValidator(
        estimator=estimator, estimatorParamMaps=grid, numFolds=2, seed=1,
        evaluator=RegressionEvaluator(labelCol="sum"),
    ).fit(rows)  # fmt: skip
    slow, fast = tuned.avgMetrics
    assert fast < slow
    assert tuned.bestModel.model.optimizer.learning_rate == 0.02


@pytest.mark.slow
def test_one_against_the_rest(rows, make):
    classifier = ElephasClassifier(
        model=make(1, "sigmoid", "binary_crossentropy"), epochs=6, batchSize=8, numWorkers=1,
        learningRate=0.02,
    )  # fmt: skip
    found = OneVsRest(classifier=classifier).fit(rows).transform(rows)
    assert MulticlassClassificationEvaluator().evaluate(found) > 0.8
