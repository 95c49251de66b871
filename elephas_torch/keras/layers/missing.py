"""Layers of Keras that aren't here, and what to use in their place."""

from __future__ import annotations

_TEXT = "text isn't a tensor: use keras.preprocessing.text.Tokenizer before the model"
_LOOKUP = "make numbers of the values before the model, for instance by sklearn's OrdinalEncoder"
_IMAGES = (
    "use torchvision.transforms.v2 where the data is read, or write a Layer of your own; here are "
    "RandomBrightness, RandomContrast, RandomFlip, RandomRotation, RandomTranslation, RandomZoom"
)
_SOUND = "use torchaudio.transforms before the model, or keras.ops.stft in a Layer of your own"
_RECURRENT = "use TimeDistributed(Conv2D(…)) and an LSTM, or write a cell of your own for RNN"
_BACKEND = "it needs another backend than torch: use TorchModuleWrapper for a torch module"

_IMAGE_LAYERS = (
    "AugMix", "AutoContrast", "ContrastLimitedAdaptiveHistogramEqualization", "CutMix",
    "Equalization", "MaxNumBoundingBoxes", "MixUp", "RandAugment", "RandomColorDegeneration",
    "RandomColorJitter", "RandomCrop", "RandomElasticTransform", "RandomErasing",
    "RandomGaussianBlur", "RandomGrayscale", "RandomHeight", "RandomHue", "RandomInvert",
    "RandomPerspective", "RandomPosterization", "RandomSaturation", "RandomSharpness",
    "RandomShear", "RandomWidth", "Solarization",
)  # fmt: skip

#: Name -> what to use.
MISSING = {
    "TextVectorization": _TEXT,
    "StringLookup": _LOOKUP,
    "IntegerLookup": _LOOKUP,
    "Hashing": "hash the values before the model, for instance by sklearn's FeatureHasher",
    "HashedCrossing": "cross and hash the values before the model, for instance by sklearn",
    "MelSpectrogram": _SOUND,
    "STFTSpectrogram": _SOUND,
    "ConvLSTM1D": _RECURRENT,
    "ConvLSTM2D": _RECURRENT,
    "ConvLSTM3D": _RECURRENT,
    "FlaxLayer": _BACKEND,
    "JaxLayer": _BACKEND,
    "TFSMLayer": _BACKEND,
    "Pipeline": "use a Sequential",
    "ReversibleEmbedding": "use an Embedding, and matmul with its weights in a Layer of your own",
    **dict.fromkeys(_IMAGE_LAYERS, _IMAGES),
}
