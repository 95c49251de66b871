"""A regression as a stage of Spark ML: how far diabetes has gone after a year, from ten numbers.

Data: scikit-learn's diabetes, 442 patients. Each number has a column of its own.

python examples/ml_mlp_regression.py
spark-submit --driver-memory 1G examples/ml_mlp_regression.py
"""

from pyspark import SparkConf
from pyspark.ml.evaluation import RegressionEvaluator
from pyspark.sql import SparkSession
from sklearn.datasets import load_diabetes

from elephas_torch import ElephasRegressor
from elephas_torch.keras import Sequential, layers
from elephas_torch.keras.optimizers import Adam

conf = SparkConf().setAppName("ml_mlp_regression").setIfMissing("spark.master", "local[2]")
conf.setIfMissing("spark.ui.showConsoleProgress", "false")
spark = SparkSession.builder.config(conf=conf).getOrCreate()
spark.sparkContext.setLogLevel("ERROR")

# Load data: age, sex, body mass index, blood pressure and six values of blood; the target
patients = load_diabetes(as_frame=True, scaled=False)
names = patients.feature_names
df = spark.createDataFrame(patients.frame)
train, test = df.randomSplit([0.8, 0.2], seed=2)

# The model itself brings the numbers to one scale, and its output to the target's
normalization = layers.Normalization()
normalization.adapt(patients.data.to_numpy())
model = Sequential(
    [
        layers.Input((len(names),)),
        normalization,
        layers.Dense(32, activation="relu"),
        layers.Dense(16, activation="relu"),
        layers.Dense(1),
        layers.Rescaling(patients.target.std(), offset=patients.target.mean()),
    ]
)
model.compile(loss="mse", optimizer=Adam(0.003), metrics=["mae"])

regressor = ElephasRegressor(
    model=model,
    featuresCols=names,
    labelCol="target",
    epochs=20,
    batchSize=16,
    mode="synchronous",
    frequency="batch",
    numWorkers=2,
)
fitted = regressor.fit(train)
print(f"mean squared error by epoch: {[round(one) for one in fitted.history['loss']]}")

prediction = fitted.transform(test)
prediction.select("age", "bmi", "bp", "target", "prediction").show(5)
for metric in ("rmse", "mae", "r2"):
    evaluator = RegressionEvaluator(labelCol="target", metricName=metric)
    print(f"{metric}: {evaluator.evaluate(prediction):.4f}")
