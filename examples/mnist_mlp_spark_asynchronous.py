"""A multilayer perceptron, trained without waiting.

python examples/mnist_mlp_spark_asynchronous.py [--digits]
spark-submit --driver-memory 1G examples/mnist_mlp_spark_asynchronous.py
"""

from images import load_rows
from pyspark import SparkConf, SparkContext

from elephas_torch import optimizers as elephas_optimizers
from elephas_torch.keras.layers import Activation, Dense, Dropout
from elephas_torch.keras.models import Sequential
from elephas_torch.keras.optimizers import SGD
from elephas_torch.spark_model import SparkModel
from elephas_torch.utils.rdd_utils import to_simple_rdd

batch_size = 32
nb_epoch = 20

# Create Spark context
conf = SparkConf().setAppName("mnist_mlp_asynchronous").setIfMissing("spark.master", "local[2]")
conf.setIfMissing("spark.ui.showConsoleProgress", "false")
sc = SparkContext.getOrCreate(conf)
sc.setLogLevel("ERROR")

# Load data
(x_train, y_train), (x_test, y_test) = load_rows()

# Define and compile the model
model = Sequential()
model.add(Dense(128, input_dim=x_train.shape[1]))
model.add(Activation("relu"))
model.add(Dropout(0.2))
model.add(Dense(128))
model.add(Activation("relu"))
model.add(Dropout(0.2))
model.add(Dense(10))
model.add(Activation("softmax"))
model.compile(loss="categorical_crossentropy", optimizer=SGD(), metrics=["accuracy"])

# Build an RDD from features and labels
rdd = to_simple_rdd(sc, x_train, y_train)

# Train: each worker's update of an epoch enters by itself, scaled by its staleness
adagrad = elephas_optimizers.Adagrad()
spark_model = SparkModel(
    sc, model, optimizer=adagrad, frequency="epoch", mode="asynchronous", num_workers=2
)
spark_model.train(
    rdd, nb_epoch=nb_epoch, batch_size=batch_size, verbose=2, validation_split=0.1, num_workers=2
)

# Evaluate on the driver, by the underlying model
loss, accuracy = spark_model.master_network.evaluate(x_test, y_test, verbose=0)
print(f"accuracy: {accuracy:.4f}")
