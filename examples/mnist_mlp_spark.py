"""A multilayer perceptron on local Spark, in all three modes, with a table in the end.

python examples/mnist_mlp_spark.py [--digits]
spark-submit --driver-memory 1G examples/mnist_mlp_spark.py
"""

import time

from images import load_rows
from pyspark import SparkConf, SparkContext

from elephas_torch.keras.layers import Activation, Dense, Dropout
from elephas_torch.keras.models import Sequential
from elephas_torch.keras.optimizers import SGD
from elephas_torch.spark_model import SparkModel
from elephas_torch.utils.rdd_utils import to_simple_rdd


def perceptron(pixels):
    model = Sequential()
    model.add(Dense(128, input_dim=pixels))
    model.add(Activation("relu"))
    model.add(Dropout(0.2))
    model.add(Dense(128))
    model.add(Activation("relu"))
    model.add(Dropout(0.2))
    model.add(Dense(10))
    model.add(Activation("softmax"))
    model.compile(loss="categorical_crossentropy", optimizer=SGD(0.1), metrics=["accuracy"])
    return model


conf = SparkConf().setAppName("mnist_mlp_spark").setIfMissing("spark.master", "local[2]")
conf.setIfMissing("spark.ui.showConsoleProgress", "false")
sc = SparkContext(conf=conf)
sc.setLogLevel("ERROR")

(x_train, y_train), (x_test, y_test) = load_rows()
rdd = to_simple_rdd(sc, x_train, y_train)
# the fewer rows there are, the more often each is needed
epochs = max(3, min(20, 100_000 // len(x_train)))

reached = {}
for mode in ("synchronous", "asynchronous", "hogwild"):
    print(f"\n{mode}")
    model = perceptron(x_train.shape[1])
    spark_model = SparkModel(sc, model, mode=mode, frequency=8, num_workers=2)
    start = time.perf_counter()
    spark_model.fit(rdd, epochs=epochs, batch_size=32, validation_split=0.1)
    seconds = time.perf_counter() - start
    loss, accuracy = spark_model.evaluate(x_test, y_test)
    reached[mode] = accuracy, seconds
sc.stop()

print(f"\n{'mode':<14}{'test accuracy':>15}{'seconds':>10}")
for mode, (accuracy, seconds) in reached.items():
    print(f"{mode:<14}{accuracy:>15.4f}{seconds:>10.1f}")
