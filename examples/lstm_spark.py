"""An LSTM on Spark: it reads an image row by row, as a sequence.

python examples/lstm_spark.py [--digits]
spark-submit --driver-memory 1G examples/lstm_spark.py
"""

from images import load_images
from pyspark import SparkConf, SparkContext

from elephas_torch.keras.layers import LSTM, Dense
from elephas_torch.keras.models import Sequential
from elephas_torch.keras.optimizers import Adam
from elephas_torch.spark_model import SparkModel
from elephas_torch.utils.rdd_utils import to_simple_rdd

# Create Spark context
conf = SparkConf().setAppName("lstm").setIfMissing("spark.master", "local[2]")
conf.setIfMissing("spark.ui.showConsoleProgress", "false")
sc = SparkContext.getOrCreate(conf)
sc.setLogLevel("ERROR")

# Load data: an image of shape (rows, columns) is a sequence of rows
(x_train, y_train), (x_test, y_test) = load_images()

# Define and compile the model
model = Sequential()
model.add(LSTM(64, input_shape=x_train.shape[1:]))
model.add(Dense(10, activation="softmax"))
model.compile(loss="categorical_crossentropy", optimizer=Adam(0.003), metrics=["accuracy"])
model.summary()

# Train: workers take steps of Adam on their own, and average their weights every 8 batches
epochs = 6 if len(x_train) > 5000 else 20
spark_model = SparkModel(sc, model, mode="synchronous", frequency=8, num_workers=2)
spark_model.fit(
    to_simple_rdd(sc, x_train, y_train),
    epochs=epochs,
    batch_size=32,
    verbose=2,
    validation_split=0.1,
)

# Evaluate on Spark
loss, accuracy = spark_model.evaluate(x_test, y_test)
print(f"accuracy: {accuracy:.4f}")
