"""A pipeline of Spark ML from raw columns to names of classes, saved and loaded again.

Data: scikit-learn's breast cancer, 569 tumours with thirty measures each.

python examples/ml_pipeline.py
spark-submit --driver-memory 1G examples/ml_pipeline.py
"""

import tempfile

from pyspark import SparkConf
from pyspark.ml import Pipeline, PipelineModel
from pyspark.ml.evaluation import BinaryClassificationEvaluator, MulticlassClassificationEvaluator
from pyspark.ml.feature import IndexToString, StandardScaler, StringIndexer, VectorAssembler
from pyspark.sql import SparkSession
from sklearn.datasets import load_breast_cancer

from elephas_torch import ElephasClassifier
from elephas_torch.keras import Sequential, layers

conf = SparkConf().setAppName("ml_pipeline").setIfMissing("spark.master", "local[2]")
conf.setIfMissing("spark.ui.showConsoleProgress", "false")
spark = SparkSession.builder.config(conf=conf).getOrCreate()
spark.sparkContext.setLogLevel("ERROR")

# Load data: a column for each measure, and the diagnosis as a string
tumours = load_breast_cancer(as_frame=True)
frame = tumours.data.assign(diagnosis=tumours.target_names[tumours.target])
train, test = spark.createDataFrame(frame).randomSplit([0.8, 0.2], seed=7)

# Define the stages
model = Sequential(
    [
        layers.Input((len(tumours.feature_names),)),
        layers.Dense(32, activation="relu"),
        layers.Dropout(0.2),
        layers.Dense(2, activation="softmax"),
    ]
)
model.compile(loss="categorical_crossentropy", optimizer="adam", metrics=["accuracy"])
stages = [
    StringIndexer(inputCol="diagnosis", outputCol="label"),
    VectorAssembler(inputCols=list(tumours.feature_names), outputCol="measures"),
    StandardScaler(inputCol="measures", outputCol="features", withMean=True),
    ElephasClassifier(model=model, epochs=15, mode="synchronous", frequency="batch", seed=1),
    IndexToString(inputCol="prediction", outputCol="said"),
]
pipeline = Pipeline(stages=stages)

with tempfile.TemporaryDirectory() as folder:
    # The pipeline may be kept before it is fitted, and after it
    pipeline.save(f"{folder}/pipeline")
    fitted = Pipeline.load(f"{folder}/pipeline").fit(train)
    fitted.save(f"{folder}/fitted")
    loaded = PipelineModel.load(f"{folder}/fitted")

print(loaded.stages[3])
prediction = loaded.transform(test)
prediction.select("diagnosis", "said", "prediction", "probability").show(5, truncate=False)
area = BinaryClassificationEvaluator().evaluate(prediction)
print(f"area under ROC: {area:.4f}")
accuracy = MulticlassClassificationEvaluator(metricName="accuracy").evaluate(prediction)
print(f"accuracy: {accuracy:.4f}")
