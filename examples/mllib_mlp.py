"""A multilayer perceptron, trained on MLlib's LabeledPoints; predicts on an MLlib matrix.

python examples/mllib_mlp.py [--digits]
spark-submit --driver-memory 1G examples/mllib_mlp.py
"""

from images import load_rows
from pyspark import SparkConf, SparkContext

from elephas_torch import optimizers as elephas_optimizers
from elephas_torch.keras.layers import Activation, Dense, Dropout
from elephas_torch.keras.models import Sequential
from elephas_torch.keras.optimizers import RMSprop
from elephas_torch.mllib.adapter import from_matrix, to_matrix
from elephas_torch.spark_model import SparkMLlibModel
from elephas_torch.utils.rdd_utils import to_labeled_point

# Create Spark context
conf = SparkConf().setAppName("mllib_mlp").setIfMissing("spark.master", "local[2]")
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
model.compile(loss="categorical_crossentropy", optimizer=RMSprop(), metrics=["accuracy"])

# Build an RDD of LabeledPoints: the labels are the classes' numbers
lp_rdd = to_labeled_point(sc, x_train, y_train, categorical=True)
print(f"first label: {lp_rdd.first().label}")

# Train: each batch's gradient enters at once and without locks, by Adadelta
adadelta = elephas_optimizers.Adadelta()
spark_model = SparkMLlibModel(
    sc, model, optimizer=adadelta, frequency="batch", mode="hogwild", num_workers=2
)
spark_model.train(
    lp_rdd,
    nb_epoch=10,
    batch_size=32,
    verbose=2,
    validation_split=0.1,
    categorical=True,
    nb_classes=10,
)

# A matrix of images goes in, a matrix of probabilities comes out
probabilities = from_matrix(spark_model.predict(to_matrix(x_test)))
accuracy = (probabilities.argmax(axis=1) == y_test.argmax(axis=1)).mean()
print(f"accuracy: {accuracy:.4f}")
