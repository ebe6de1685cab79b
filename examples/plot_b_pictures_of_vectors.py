"""
Pictures of vectors
===================

Two displays show whether binary codes suit your vectors, before anything is encoded:
what the profiler measures, and whether its predictions hold.
"""

# %%
# A profiler reads the vectors once. Here these are 5,000 embeddings of dictionary
# glosses.

import matplotlib.pyplot as plt

from skbq import FidelityDisplay, HeterogeneityDisplay, HeterogeneityProfiler
from skbq.datasets import load_wordnet_minilm, make_gaussian

X = load_wordnet_minilm().data
profiler = HeterogeneityProfiler(random_state=0).fit(X)

# %%
# The coordinates vary nearly alike, so that a bit of each says about as much; nearly
# all signs split the rows in halves; and the variance is spread over a hundred and more
# of 384 directions. Codes of one bit suit such vectors.

HeterogeneityDisplay.from_estimator(profiler)
plt.show()

# %%
# Other vectors do not look like that. Where a few coordinates have most of the variance
# and means are far from zero, bits are wasted: rotate, and center.

steep = make_gaussian(
    1000, 24, spectrum=0.9, heterogeneity=1.0, mean=0.5, random_state=0
)
steep_profiler = HeterogeneityProfiler(random_state=0).fit(steep)
HeterogeneityDisplay.from_estimator(steep_profiler)
plt.show()

# %%
# From mean and covariance follows how well each strategy ranks, and a sample of the
# rows shows whether that holds. Points on the diagonal are right, as for the vectors
# above. Crosses are predictions that do not hold: the cubes of the same vectors have
# tails of which mean and covariance say nothing.

heavy_profiler = HeterogeneityProfiler(random_state=0).fit(steep**3)
_, axes = plt.subplots(1, 2, figsize=(10, 5), layout="constrained")
FidelityDisplay.from_estimator(steep_profiler, ax=axes[0])
FidelityDisplay.from_estimator(heavy_profiler, ax=axes[1])
plt.show()
