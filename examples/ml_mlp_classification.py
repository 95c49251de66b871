"""A multilayer perceptron as an estimator of Spark ML, on a DataFrame of handwritten digits.

python examples/ml_mlp_classification.py [--digits]
spark-submit --driver-memory 1G examples/ml_mlp_classification.py
"""

from images import load_rows
from pyspark import SparkConf, SparkContext
from pyspark.mllib.evaluation import MulticlassMetrics

from elephas_torch import optimizers as elephas_optimizers
from elephas_torch.keras.layers import Activation, Dense, Dropout
from elephas_torch.keras.models import Sequential
from elephas_torch.keras.optimizers import RMSprop
from elephas_torch.ml.adapter import to_data_frame
from elephas_torch.ml_model import ElephasEstimator

batch_size = 32
nb_classes = 10
nb_epoch = 10

# Create Spark context
conf = SparkConf().setAppName("ml_mlp_classification").setIfMissing("spark.master", "local[2]")
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
model.compile(loss="categorical_crossentropy", optimizer=RMSprop())

# Build DataFrames: a vector of pixels and the class's number in each row
df = to_data_frame(sc, x_train, y_train, categorical=True)
test_df = to_data_frame(sc, x_test, y_test, categorical=True)

# Train: each batch's gradient enters at once, by Adadelta
adadelta = elephas_optimizers.Adadelta()
estimator = ElephasEstimator(
    sc,
    model,
    nb_epoch=nb_epoch,
    batch_size=batch_size,
    optimizer=adadelta,
    frequency="batch",
    mode="asynchronous",
    num_workers=2,
    verbose=0,
    validation_split=0.1,
    categorical=True,
    nb_classes=nb_classes,
)
fitted_model = estimator.fit(df)

# Evaluate: the prediction is a column beside the others
prediction = fitted_model.transform(test_df)
pnl = prediction.select("label", "prediction")
pnl.show(5)
prediction_and_label = pnl.rdd.map(lambda row: (row.prediction, row.label))
metrics = MulticlassMetrics(prediction_and_label)
print(f"weighted precision: {metrics.weightedPrecision:.4f}")
print(f"weighted recall: {metrics.weightedRecall:.4f}")
print(f"accuracy: {metrics.accuracy:.4f}")
