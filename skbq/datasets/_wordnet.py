"""The real embeddings that ship with the package."""

from importlib.resources import files

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import Bunch


def _unit_rows(half_precision: NDArray[np.float16]) -> NDArray[np.float32]:
    """Return the rows as float32 of unit length: the cast alone is off by 7e-5."""
    rows = half_precision.astype(np.float32)
    norms = np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)
    return (rows / norms).astype(np.float32)


def load_wordnet_minilm() -> Bunch:
    """Load 5,000 real text embeddings and 250 held-out queries.

    The rows are WordNet 3.0 glosses (definitions of English words) embedded by
    the sentence-transformers model all-MiniLM-L6-v2. They are part of the
    package: nothing is downloaded.

    Returns
    -------
    bunch : :class:`~sklearn.utils.Bunch`
        With the attributes

        data : ndarray of shape (5000, 384), dtype float32
            Embeddings of unit length.
        queries : ndarray of shape (250, 384), dtype float32
            Embeddings of further glosses, none of which is in ``data``.
        texts, query_texts : list of str
            The gloss of each row.
        lemmas, query_lemmas : list of str
            The words that each gloss defines, separated by a comma.
        DESCR : str
            Origin and licenses: texts under the WordNet 3.0 license, model
            under the Apache License 2.0.

    See Also
    --------
    make_low_rank_clusters : Clusters in a low-dimensional subspace, made.

    References
    ----------
    .. [1] C. Fellbaum (ed.), "WordNet: An Electronic Lexical Database",
       MIT Press, 1998.
    .. [2] N. Reimers and I. Gurevych, "Sentence-BERT: Sentence Embeddings using
       Siamese BERT-Networks", EMNLP 2019, arXiv:1908.10084.

    Examples
    --------
    >>> from skbq.datasets import load_wordnet_minilm
    >>> glosses = load_wordnet_minilm()
    >>> glosses.data.shape, glosses.queries.shape
    ((5000, 384), (250, 384))
    >>> glosses.lemmas[2], glosses.texts[2]
    ('moralist', 'a philosopher who specializes in morals and moral problems')
    """
    folder = files("skbq.datasets") / "data"
    description = (folder / "wordnet_minilm.rst").read_text(encoding="utf-8")
    with (folder / "wordnet_minilm.npz").open("rb") as file, np.load(file) as stored:
        return Bunch(
            data=_unit_rows(stored["data"]),
            queries=_unit_rows(stored["queries"]),
            texts=stored["texts"].tolist(),
            query_texts=stored["query_texts"].tolist(),
            lemmas=stored["lemmas"].tolist(),
            query_lemmas=stored["query_lemmas"].tolist(),
            DESCR=description,
        )
