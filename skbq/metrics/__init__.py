"""How well codes rank, and how many true neighbors a search finds.

The functions take plain arrays, whatever made them. The scorers take a fitted
:class:`~skbq.BinaryNeighbors`, alone or as the last step of a pipeline, and are meant
for ``scoring=`` of :class:`~sklearn.model_selection.GridSearchCV`.
"""

from ._fidelity_report import FidelityReport
from ._ranking import ranking_fidelity
from ._recall import neighbor_recall
from ._scorers import NeighborRecallScorer, RankingFidelityScorer

__all__ = [
    "FidelityReport",
    "NeighborRecallScorer",
    "RankingFidelityScorer",
    "neighbor_recall",
    "ranking_fidelity",
]
