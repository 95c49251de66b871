"""A model scores images as they arrive in a folder: Spark's structured streaming.

python examples/streaming_scoring.py [--digits]
spark-submit --driver-memory 1G examples/streaming_scoring.py
"""

import tempfile

from images import load_images
from pyspark import SparkConf
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from elephas_torch import ElephasClassifier, load_ml_transformer
from elephas_torch.keras import Sequential, layers
from elephas_torch.ml.adapter import to_data_frame

conf = SparkConf().setAppName("streaming_scoring").setIfMissing("spark.master", "local[2]")
conf.setIfMissing("spark.ui.showConsoleProgress", "false")
spark = SparkSession.builder.config(conf=conf).getOrCreate()
spark.sparkContext.setLogLevel("ERROR")

# Load data: images are nested arrays in a column, and the model takes them as they are
(x_train, y_train), (x_test, y_test) = load_images()
train = to_data_frame(spark, x_train, y_train, categorical=True)
test = to_data_frame(spark, x_test, y_test, categorical=True)

model = Sequential(
    [
        layers.Input(x_train.shape[1:]),
        layers.Flatten(),
        layers.Dense(64, activation="relu"),
        layers.Dense(10, activation="softmax"),
    ]
)
model.compile(loss="categorical_crossentropy", optimizer="adam")
classifier = ElephasClassifier(
    model=model, epochs=8, mode="synchronous", frequency="batch", numWorkers=2
)

with tempfile.TemporaryDirectory() as folder:
    # One job trains and saves
    classifier.fit(train).save(f"{folder}/model")

    # Files arrive
    test.repartition(4).write.parquet(f"{folder}/arriving")

    # Another job scores what there is, a file at a time; without the trigger it would wait for more
    arriving = spark.readStream.schema(test.schema).option("maxFilesPerTrigger", 1)
    stream = arriving.parquet(f"{folder}/arriving")
    scored = load_ml_transformer(f"{folder}/model").transform(stream)
    query = (
        scored.select("label", "prediction", "probability")
        .writeStream.format("parquet")
        .option("path", f"{folder}/scored")
        .option("checkpointLocation", f"{folder}/checkpoint")
        .trigger(availableNow=True)
        .start()
    )
    query.awaitTermination()
    for batch in query.recentProgress:
        print(f"batch {batch['batchId']}: {batch['numInputRows']} rows")

    found = spark.read.parquet(f"{folder}/scored")
    found.select("label", "prediction").show(5)
    right = (F.col("label") == F.col("prediction")).cast("double")
    print(f"accuracy: {found.agg(F.avg(right)).first()[0]:.4f}")
