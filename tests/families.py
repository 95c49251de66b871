"""Every layer of docs/layers.md, in families: for devices that aren't the CPU.

`test_gpu.py` computes with them on a GPU, `keras/on_device.py` on a device that is made up.
"""

import torch

from elephas_torch.keras import Model, Sequential, layers

LINE, STEPS, IMAGE, VOLUME, WORDS = (4,), (6, 4), (8, 8, 2), (4, 4, 4, 2), (6,)
#: What a layer of two arguments is made with: both bounds are the same, so that nothing is drawn.
UP, DOWN = (0.3, 0.3), (-0.4, -0.4)

#: A row's shape, and layers, one after the other.
LINES = {
    "dense": (LINE, lambda: [
        layers.Dense(5, "relu", kernel_regularizer="l2", kernel_constraint="max_norm"),
        layers.ActivityRegularization(0.1), layers.Identity(), layers.Lambda(lambda x: 2 * x)]),
    "einsum": (LINE, lambda: [layers.EinsumDense("ab,bc->ac", 3)]),
    "activations": (LINE, lambda: [
        layers.ThresholdedReLU(0.3), layers.PReLU(), layers.LeakyReLU(), layers.ELU(),
        layers.ReLU(6.0), layers.Softmax(), layers.Activation("gelu")]),
    "normalization": (LINE, lambda: [
        layers.BatchNormalization(), layers.LayerNormalization(), layers.GroupNormalization(2),
        layers.RMSNormalization(), layers.UnitNormalization()]),
    "spectral normalization": (LINE, lambda: [layers.SpectralNormalization(layers.Dense(3))]),
    "a module of torch's": (LINE, lambda: [
        layers.TorchModuleWrapper(torch.nn.Linear(4, 3), output_shape=(None, 3))]),
    "convolution": (IMAGE, lambda: [
        layers.Conv2D(4, 3, padding="same", activation="relu"), layers.BatchNormalization(),
        layers.MaxPooling2D(), layers.SeparableConv2D(3, 3, padding="same"),
        layers.DepthwiseConv2D(2), layers.Conv2DTranspose(4, 2), layers.GroupNormalization(2)]),
    "convolution 1": (STEPS, lambda: [
        layers.Conv1D(3, 3, padding="causal"), layers.SeparableConv1D(3, 2),
        layers.DepthwiseConv1D(2), layers.Conv1DTranspose(2, 2)]),
    "convolution 3": (VOLUME, lambda: [layers.Conv3D(3, 2), layers.Conv3DTranspose(2, 2)]),
    "pooling 1": (STEPS, lambda: [
        layers.ZeroPadding1D(2), layers.Cropping1D(1), layers.UpSampling1D(), layers.MaxPooling1D(),
        layers.AveragePooling1D(), layers.GlobalMaxPooling1D()]),
    "pooling 2": (IMAGE, lambda: [
        layers.AveragePooling2D(), layers.UpSampling2D(interpolation="bilinear"),
        layers.ZeroPadding2D(1), layers.Cropping2D(1), layers.GlobalMaxPooling2D()]),
    "pooling 3": (VOLUME, lambda: [
        layers.ZeroPadding3D(1), layers.Cropping3D(1), layers.UpSampling3D(),
        layers.MaxPooling3D(), layers.AveragePooling3D(), layers.GlobalMaxPooling3D()]),
    "means 1": (STEPS, lambda: [layers.GlobalAveragePooling1D()]),
    "means 2": (IMAGE, lambda: [layers.GlobalAveragePooling2D()]),
    "means 3": (VOLUME, lambda: [layers.GlobalAveragePooling3D()]),
    "adaptive pooling 1": (STEPS, lambda: [
        layers.AdaptiveMaxPooling1D(4), layers.AdaptiveAveragePooling1D(3)]),
    "adaptive pooling 2": (IMAGE, lambda: [
        layers.AdaptiveMaxPooling2D(5), layers.AdaptiveAveragePooling2D(3)]),
    "adaptive pooling 3": (VOLUME, lambda: [
        layers.AdaptiveMaxPooling3D(3), layers.AdaptiveAveragePooling3D(2)]),
    "lstm": (STEPS, lambda: [
        layers.Bidirectional(layers.LSTM(3, return_sequences=True)),
        layers.LSTM(3, go_backwards=True)]),
    "masked lstm": (STEPS, lambda: [layers.Masking(), layers.LSTM(3)]),
    "gru": (STEPS, lambda: [
        layers.Masking(), layers.GRU(3, return_sequences=True), layers.GRU(2, reset_after=False),
        layers.Reshape((2, 1)), layers.RNN(layers.GRUCell(2))]),
    "simple rnn": (STEPS, lambda: [
        layers.SimpleRNN(3, return_sequences=True), layers.TimeDistributed(layers.Dense(2))]),
    "cells": (STEPS, lambda: [
        layers.RNN(layers.StackedRNNCells([layers.LSTMCell(3), layers.SimpleRNNCell(3)]),
                   return_sequences=True),
        layers.RNN(layers.LSTMCell(2))]),
    "reshaping": (LINE, lambda: [
        layers.Reshape((2, 2)), layers.Permute((2, 1)), layers.Flatten(), layers.RepeatVector(2)]),
    "images": (IMAGE, lambda: [
        layers.Normalization(mean=[0.1, 0.2], variance=[1.5, 2.0]), layers.Rescaling(0.5),
        layers.CenterCrop(6, 6), layers.Resizing(7, 7)]),
    "augmentation": (IMAGE, lambda: [
        layers.RandomRotation((0.09, 0.09)), layers.RandomZoom(UP, DOWN),
        layers.RandomTranslation(UP, DOWN), layers.RandomContrast(0, (0.2, 0.7)),
        layers.RandomBrightness((0.25, 0.25), value_range=(0, 1))]),
    "categories": (LINE, lambda: [
        layers.Discretization([-0.5, 0.0, 0.5]), layers.CategoryEncoding(4, "count")]),
}  # fmt: skip

#: What is drawn anew at each batch.
DRAWN = {
    "Dropout": (LINE, lambda: layers.Dropout(0.5)),
    "SpatialDropout1D": (STEPS, lambda: layers.SpatialDropout1D(0.5)),
    "SpatialDropout2D": (IMAGE, lambda: layers.SpatialDropout2D(0.5)),
    "SpatialDropout3D": (VOLUME, lambda: layers.SpatialDropout3D(0.5)),
    "AlphaDropout": (LINE, lambda: layers.AlphaDropout(0.5)),
    "GaussianDropout": (LINE, lambda: layers.GaussianDropout(0.5)),
    "GaussianNoise": (LINE, lambda: layers.GaussianNoise(0.5)),
    "RandomFlip": (IMAGE, lambda: layers.RandomFlip()),
    "LSTM": (STEPS, lambda: layers.LSTM(3, dropout=0.5, recurrent_dropout=0.5)),
}  # fmt: skip


def line(shape, several):
    """A model of layers one after the other."""
    return Sequential([layers.Input(shape=shape), *several, layers.Flatten(), layers.Dense(3)])


def words():
    given = layers.Input(shape=WORDS, dtype="int32")
    found = layers.Embedding(10, 4, mask_zero=True)(given)
    found = layers.LSTM(4, return_sequences=True)(found)
    attended = layers.MultiHeadAttention(2, 3)(found, found, use_causal_mask=True)
    found = layers.Add()([found, attended])
    found = layers.Concatenate()([found, layers.Attention()([found, found])])
    return Model(given, layers.Dense(3)(layers.GlobalAveragePooling1D()(found)))


def attended():
    given = layers.Input(shape=STEPS)
    both = [layers.Attention()([given, given]), layers.AdditiveAttention()([given, given])]
    merged = layers.Concatenate()([
        layers.Multiply()(both), layers.Average()(both), layers.Subtract()(both),
        layers.Minimum()(both), given,
    ])  # fmt: skip
    grouped = layers.GroupedQueryAttention(4, 4, 2)(merged, merged)
    merged = layers.Maximum()([grouped, merged])
    return Model(
        given, layers.Dense(3)(layers.Flatten()(layers.Dot(1, normalize=True)([merged, given])))
    )


def _lined(shape, made):
    return lambda: line(shape, made())


#: Name -> (a row's shape, what makes a model of three outputs that draws nothing).
MODELS = {
    **{name: (shape, _lined(shape, made)) for name, (shape, made) in LINES.items()},
    "words": (WORDS, words),
    "attention and merging": (STEPS, attended),
}
