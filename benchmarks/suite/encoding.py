"""From vectors to codes: time and memory of fit, transform and rotation."""

import numpy as np

from skbq import BinaryNeighbors, BinaryQuantizer, RandomRotation, TwoBitQuantizer

from . import _data

QUANTIZERS = {"1 bit": BinaryQuantizer, "2 bits": TwoBitQuantizer}


class Fit:
    params = (list(QUANTIZERS), ["codes", "vectors"])
    param_names = ("quantizer", "query")

    def setup(self, quantizer, query):
        self.X, _ = _data.vectors()
        self.index = BinaryNeighbors(quantizer=QUANTIZERS[quantizer](), query=query)
        self.index.fit(self.X[:100])  # compile

    def time_fit(self, quantizer, query):
        self.index.fit(self.X)

    def peakmem_fit(self, quantizer, query):
        self.index.fit(self.X)


class Encode:
    params = (list(QUANTIZERS), ["float16", "float32", "float64"])
    param_names = ("quantizer", "dtype")

    def setup(self, quantizer, dtype):
        X, _ = _data.vectors()
        self.X = X[: len(X) // 4].astype(dtype)
        self.quantizer = QUANTIZERS[quantizer]().fit(self.X[:1000])

    def time_transform(self, quantizer, dtype):
        self.quantizer.transform(self.X)


class Rotate:
    params = (["haar", "dct", "hadamard"],)
    param_names = ("method",)

    def setup(self, method):
        X, _ = _data.vectors()
        self.X = X[: len(X) // 10]
        self.rotation = RandomRotation(method, random_state=0).fit(self.X[:1])
        self.rotation.transform(self.X[:1])  # compile

    def time_transform(self, method):
        self.rotation.transform(self.X)


class Grow:
    """Rows that come a few at a time."""

    params = ([1, 100],)
    param_names = ("rows",)

    def setup(self, rows):
        self.X, _ = _data.vectors()
        self.index = BinaryNeighbors(quantizer=BinaryQuantizer()).fit(self.X)
        self.added = np.array(self.X[:rows])

    def time_partial_fit(self, rows):
        self.index.partial_fit(self.added)
