"""Programs like those of https://keras.io/guides/writing_a_custom_training_loop_in_torch/"""

import numpy as np
import pytest
import torch


def get_model(keras):
    inputs = keras.Input(shape=(64,), name="digits")
    x1 = keras.layers.Dense(64, activation="relu")(inputs)
    x2 = keras.layers.Dense(64, activation="relu")(x1)
    outputs = keras.layers.Dense(10, name="predictions")(x2)
    return keras.Model(inputs=inputs, outputs=outputs)


@pytest.fixture
def loaders(keras, vectors):
    sets = []
    for x, y in vectors:
        y = keras.utils.to_categorical(y.astype("int64"))
        sets.append(torch.utils.data.TensorDataset(torch.from_numpy(x), torch.as_tensor(y)))
    return [torch.utils.data.DataLoader(one, batch_size=32, shuffle=True) for one in sets]


def test_torch_s_optimizer_and_loss(keras, loaders):
    train_dataloader, _ = loaders
    model = get_model(keras)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    loss_fn = torch.nn.CrossEntropyLoss()
    losses = []
    for _epoch in range(3):
        for inputs, targets in train_dataloader:
            logits = model(inputs)
            loss = loss_fn(logits, targets)
            model.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(float(loss.detach().numpy()))
    assert np.mean(losses[-5:]) < np.mean(losses[:5])


def step(keras, model, optimizer, loss_fn, inputs, targets):
    logits = model(inputs)
    loss = loss_fn(targets, logits)
    if model.losses:
        loss = loss + torch.sum(*model.losses)
    model.zero_grad()
    trainable_weights = [v for v in model.trainable_weights]
    loss.backward()
    gradients = [v.value.grad for v in trainable_weights]
    with torch.no_grad():
        optimizer.apply(gradients, trainable_weights)
    return logits, loss


def test_keras_s_optimizer_and_loss(keras, loaders):
    train_dataloader, _ = loaders
    model = get_model(keras)
    optimizer = keras.optimizers.Adam(learning_rate=1e-3)
    loss_fn = keras.losses.CategoricalCrossentropy(from_logits=True)
    losses = []
    for _epoch in range(3):
        for inputs, targets in train_dataloader:
            _, loss = step(keras, model, optimizer, loss_fn, inputs, targets)
            losses.append(float(loss.detach().numpy()))
    assert np.mean(losses[-5:]) < np.mean(losses[:5])
    assert int(optimizer.iterations) == 39


def test_metrics_at_the_epoch_s_end(keras, loaders):
    train_dataloader, val_dataloader = loaders
    model = get_model(keras)
    optimizer = keras.optimizers.Adam(learning_rate=1e-3)
    loss_fn = keras.losses.CategoricalCrossentropy(from_logits=True)
    train_acc_metric = keras.metrics.CategoricalAccuracy()
    val_acc_metric = keras.metrics.CategoricalAccuracy()
    accuracies = []
    for _epoch in range(4):
        for inputs, targets in train_dataloader:
            logits, _ = step(keras, model, optimizer, loss_fn, inputs, targets)
            train_acc_metric.update_state(targets, logits)
        train_acc = train_acc_metric.result()
        train_acc_metric.reset_state()
        assert float(train_acc_metric.result()) == 0
        right = 0
        for x_batch_val, y_batch_val in val_dataloader:
            val_logits = model(x_batch_val, training=False)
            val_acc_metric.update_state(y_batch_val, val_logits)
            right += int((val_logits.argmax(1) == y_batch_val.argmax(1)).sum())
        val_acc = val_acc_metric.result()
        val_acc_metric.reset_state()
        accuracies.append((float(train_acc), float(val_acc)))
        assert float(val_acc) == pytest.approx(right / 200)
    assert accuracies[-1][0] > accuracies[0][0]
    assert accuracies[-1][1] > 0.3


def test_losses_that_the_model_tracks(keras, loaders):
    class ActivityRegularizationLayer(keras.layers.Layer):
        def call(self, inputs):
            self.add_loss(1e-2 * torch.sum(inputs))
            return inputs

    inputs = keras.Input(shape=(64,), name="digits")
    x = keras.layers.Dense(64, activation="relu")(inputs)
    x = ActivityRegularizationLayer()(x)
    x = keras.layers.Dense(64, activation="relu")(x)
    outputs = keras.layers.Dense(10, name="predictions")(x)
    model = keras.Model(inputs=inputs, outputs=outputs)
    optimizer = keras.optimizers.Adam(learning_rate=1e-3)
    loss_fn = keras.losses.CategoricalCrossentropy(from_logits=True)
    train_dataloader, _ = loaders
    added = []
    for _epoch in range(2):
        for x_batch, y_batch in train_dataloader:
            step(keras, model, optimizer, loss_fn, x_batch, y_batch)
            (loss,) = model.losses
            added.append(float(loss.detach()))
    assert added[-1] < added[0]
