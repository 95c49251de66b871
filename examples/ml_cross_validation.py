"""Models, learning rates, batch sizes and epochs, chosen by Spark ML's cross-validation.

Data: scikit-learn's breast cancer, 569 tumours with thirty measures each.

python examples/ml_cross_validation.py
spark-submit --driver-memory 1G examples/ml_cross_validation.py
"""

from pyspark import SparkConf
from pyspark.ml import Pipeline
from pyspark.ml.evaluation import MulticlassClassificationEvaluator
from pyspark.ml.feature import StandardScaler, VectorAssembler
from pyspark.ml.tuning import CrossValidator, ParamGridBuilder
from pyspark.sql import SparkSession
from sklearn.datasets import load_breast_cancer

from elephas_torch import ElephasClassifier
from elephas_torch.keras import Sequential, layers

conf = SparkConf().setAppName("ml_cross_validation").setIfMissing("spark.master", "local[2]")
conf.setIfMissing("spark.ui.showConsoleProgress", "false")
spark = SparkSession.builder.config(conf=conf).getOrCreate()
spark.sparkContext.setLogLevel("ERROR")

# Load data
tumours = load_breast_cancer(as_frame=True)
train, test = spark.createDataFrame(tumours.frame).randomSplit([0.8, 0.2], seed=7)
train.cache()


# A model builder gets the params that it has arguments for, and what modelParams gives
def linear(measures):
    return compiled([layers.Input((measures,)), layers.Dense(2, activation="softmax")])


def deep(measures):
    hidden = [layers.Dense(32, activation="relu"), layers.Dense(32, activation="relu")]
    return compiled([layers.Input((measures,)), *hidden, layers.Dense(2, activation="softmax")])


def compiled(several):
    model = Sequential(several)
    model.compile(loss="sparse_categorical_crossentropy", optimizer="adam")
    return model


measures = list(tumours.feature_names)
classifier = ElephasClassifier(
    modelBuilder=deep, modelParams={"measures": len(measures)}, labelCol="target", numWorkers=1
)
stages = [
    VectorAssembler(inputCols=measures, outputCol="raw"),
    StandardScaler(inputCol="raw", outputCol="features", withMean=True),
    classifier,
]

# Two small grids in place of one with all combinations
models = ParamGridBuilder().addGrid(classifier.modelBuilder, [linear, deep])
models = models.addGrid(classifier.learningRate, [0.0001, 0.01])
lengths = ParamGridBuilder().addGrid(classifier.epochs, [1, 10])
lengths = lengths.addGrid(classifier.batchSize, [16, 64])
grid = models.build() + lengths.build()

evaluator = MulticlassClassificationEvaluator(labelCol="target", metricName="accuracy")
tuning = CrossValidator(
    estimator=Pipeline(stages=stages),
    estimatorParamMaps=grid,
    evaluator=evaluator,
    numFolds=2,
    parallelism=2,
    seed=1,
)
tuned = tuning.fit(train)

for params, found in sorted(zip(grid, tuned.avgMetrics, strict=True), key=lambda pair: -pair[1]):
    values = {param.name: getattr(value, "__name__", value) for param, value in params.items()}
    print(f"{found:.4f}", ", ".join(f"{name}={value}" for name, value in values.items()))
print(f"accuracy: {evaluator.evaluate(tuned.transform(test)):.4f}")
