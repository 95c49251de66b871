"""A small convolutional network on Spark.

python examples/mnist_cnn_spark.py [--digits]
spark-submit --driver-memory 1G examples/mnist_cnn_spark.py
"""

from images import load_images
from pyspark import SparkConf, SparkContext

from elephas_torch.keras.layers import Conv2D, Dense, Dropout, Flatten, MaxPooling2D
from elephas_torch.keras.models import Sequential
from elephas_torch.keras.optimizers import SGD
from elephas_torch.spark_model import SparkModel
from elephas_torch.utils.rdd_utils import to_simple_rdd

# Create Spark context
conf = SparkConf().setAppName("mnist_cnn").setIfMissing("spark.master", "local[2]")
conf.setIfMissing("spark.ui.showConsoleProgress", "false")
sc = SparkContext.getOrCreate(conf)
sc.setLogLevel("ERROR")

# Load data: images of one channel
(x_train, y_train), (x_test, y_test) = load_images()
x_train, x_test = x_train[..., None], x_test[..., None]

# Define and compile the model
model = Sequential()
model.add(Conv2D(8, (3, 3), padding="same", activation="relu", input_shape=x_train.shape[1:]))
model.add(MaxPooling2D((2, 2)))
model.add(Conv2D(16, (3, 3), padding="same", activation="relu"))
model.add(MaxPooling2D((2, 2)))
model.add(Flatten())
model.add(Dense(64, activation="relu"))
model.add(Dropout(0.2))
model.add(Dense(10, activation="softmax"))
model.compile(
    loss="categorical_crossentropy", optimizer=SGD(0.05, momentum=0.9), metrics=["accuracy"]
)
model.summary()

# Train: every batch is a round, so this is what one process does with batches of 64
epochs = 4 if len(x_train) > 5000 else 15
spark_model = SparkModel(sc, model, mode="synchronous", frequency="batch", num_workers=2)
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
