"""
Choose by GridSearchCV, and by theory
=====================================

A grid search encodes and compares vectors for every candidate and fold. The covariance
of the vectors predicts which candidate ranks best. Here are both, side by side.
"""

# %%
# Four quantizers: one bit or two, rotated or not.

from time import perf_counter

import matplotlib.pyplot as plt
import numpy as np
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from skbq import (
    BinaryNeighbors,
    BinaryQuantizer,
    RandomRotation,
    TwoBitQuantizer,
)
from skbq.datasets import load_wordnet_minilm
from skbq.metrics import RankingFidelityScorer
from skbq.theory import fit_projected_normal, predict_fidelity

X = load_wordnet_minilm().data[::2]
rotation = RandomRotation(random_state=0)
candidates = {
    "1 bit": (None, BinaryQuantizer()),
    "1 bit, rotated": (rotation, BinaryQuantizer()),
    "2 bits": (None, TwoBitQuantizer()),
    "2 bits, rotated": (rotation, TwoBitQuantizer()),
}

# %%
# The grid search. Its score is the rank correlation of code distance and true cosine.

quantizers = [
    quantizer if rotate is None else make_pipeline(rotate, quantizer)
    for rotate, quantizer in candidates.values()
]
start = perf_counter()
search = GridSearchCV(
    BinaryNeighbors(),
    {"quantizer": quantizers},
    scoring=RankingFidelityScorer(random_state=0),
    cv=3,
).fit(X)
searched_s = perf_counter() - start
measured = search.cv_results_["mean_test_score"]
deviation = search.cv_results_["std_test_score"]

# %%
# Theory: mean and covariance once, then a formula for each candidate. Its cost does not
# grow with the number of vectors.

start = perf_counter()
model = fit_projected_normal(X.mean(axis=0), np.cov(X.T))
matrix = rotation.fit(X).matrix()
predicted = [
    predict_fidelity(
        quantizer,
        model.mean,
        model.covariance,
        metric="cosine",
        rotation=None if rotate is None else matrix,
        sample=X[::5],
    ).spearman
    for rotate, quantizer in candidates.values()
]
predicted_s = perf_counter() - start

names = list(candidates)
print(f"grid search: {names[np.argmax(measured)]!r} in {searched_s:.1f} s")
print(f"theory:      {names[np.argmax(predicted)]!r} in {predicted_s:.1f} s")
print(f"That is {predicted_s / searched_s:.0%} of the time of the search.")

# %%
# The same choice, and the same order.

_, ax = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
rows = np.arange(len(names))
ax.errorbar(measured, rows, xerr=deviation, fmt="o", label="measured, 3 folds")
ax.plot(predicted, rows, "x", ms=8, label="predicted")
ax.set(yticks=rows, yticklabels=names, xlabel="ranking fidelity (Spearman)")
ax.legend(loc="lower right")
plt.show()
