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
