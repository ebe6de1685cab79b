"""
Pictures of advice
==================

What do more candidates, and what do more bytes buy? And do rows that come later still
look like those that a code was chosen for? Two displays show what the advisor measures.
"""

# %%
# A fit on a few hundred rows takes seconds; for an answer about yours, give them all.

import matplotlib.pyplot as plt

from skbq import DriftDisplay, QuantizationAdvisor, RecallDisplay
from skbq.datasets import make_gaussian

X = make_gaussian(1500, 48, spectrum=0.6, random_state=0)
rows, queries, later = X[:900], X[900:1000], X[1000:]
advisor = QuantizationAdvisor(target_recall=0.9, random_state=0)
advisor.fit(rows, queries=queries)
print(advisor.summary())

# %%
# Left, recall by oversampling: reranking more candidates makes up for small codes.
# Right, recall without reranking by bytes of a row: the gray line is the best within so
# many bytes, and the ring is around the recommended code.

RecallDisplay.from_estimator(advisor)
plt.show()

# %%
# The gray line is ``advisor.bytes_curve_``: what so many bytes or fewer buy at best.
# Above, recall without reranking; below, how many candidates must be read for each
# neighbor, so that recall reaches the target. Neither gets worse by more bytes.

curve = advisor.bytes_curve_
_, (upper, lower) = plt.subplots(2, sharex=True, figsize=(6.4, 5), layout="constrained")
upper.step(curve.bytes_per_row, curve.recall, "o-", where="post")
upper.axhline(curve.target_recall, color="gray", linestyle=":", label="target")
upper.set(ylabel="recall@10 without reranking", ylim=(0, 1.02))
upper.legend(loc="lower right")
lower.step(curve.bytes_per_row, curve.oversampling, "o-", where="post")
lower.set(xlabel="bytes of a row", ylabel="oversampling for the target", yscale="log")
ticks = [1, 2, 5, 10, 20, 50]
lower.set_yticks(ticks, labels=map(str, ticks))
lower.minorticks_off()
lower.set_xticks([8, 16, 24])
plt.show()

# %%
# What is the most that eight bytes of a row can find?

point = curve.at(8)
print(f"{point.strategy}: {point.recall}, reranked {point.recall_reranked}")

# %%
# Rows of the same kind: all changes of means, deviations and bits lie between the
# dashed lines.

DriftDisplay.from_estimator(advisor, later)
plt.show()

# %%
# Three coordinates move, as with a new version of a model: they stand out, and the test
# says so.

later[:, [5, 20, 33]] += 0.4
display = DriftDisplay.from_estimator(advisor, later)
plt.show()
print(display.result)
