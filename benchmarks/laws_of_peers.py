"""Hold other libraries against the laws of skbq and write which of them each breaks.

    pip install '.[bench]'
    pip install --no-deps sentence-transformers
    python benchmarks/laws_of_peers.py --out benchmarks/results/laws.md

Libraries that are not installed are left out. Every law is tried on ``--examples``
cases, the same in every run. Takes a minute or two.
"""

import argparse
import importlib.metadata
import re
import sys
import warnings
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.errors import Flaky

LAWS_FOLDER = Path(__file__).parents[1] / "tests" / "laws"
sys.path[:0] = [str(LAWS_FOLDER), str(LAWS_FOLDER.parent)]

from adapters import SKBQ  # noqa: E402
from laws import LAWS, cases  # noqa: E402
from peers import peers  # noqa: E402
from profiles import law_settings  # noqa: E402

# Laws that few cases break are tried on so many times more.
TIMES_MORE = {"ties_go_to_the_lower_row": 10}
LIBRARIES = ["scikit-learn", "numpy", "faiss-cpu", "usearch", "sentence-transformers"]


def verdict(law, adapters, examples):
    """Tell whether a law holds for some ways of one library.

    Returns
    -------
    word : {"yes", "**no**", "–"}
        The last where the law concerns none of them.
    seen : str
        What was seen where it does not hold.
    """
    concerned = [adapter for adapter in adapters if law.concerns(adapter)]
    if not concerned:
        return "–", ""

    @law_settings(examples * TIMES_MORE.get(law.name, 1))
    @given(st.sampled_from(concerned), cases())
    def holds(adapter, case):
        law.check(adapter, case)

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            holds()
    except Flaky:
        return "**no**", "the answer differs from one run to the next"
    except AssertionError as error:
        return "**no**", _one_line(error)
    except Exception as error:
        return "**no**", f"{type(error).__name__}: {_one_line(error)}"
    return "yes", ""


def _one_line(error):
    """Say in one line what an assertion or an exception of a peer saw."""
    values = re.search(r"(\S+) \(ACTUAL\), (\S+) \(DESIRED\)", str(error))
    if values:
        return "gave {} where {} was expected".format(*values.groups())
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:120] if lines else "not so"


def columns():
    """Return what is compared: all ways of skbq as one, and each of the peers."""
    return {"skbq": SKBQ, **{peer.name: [peer] for peer in peers()}}


def table(examples):
    """Yield the lines of the table, and then what was seen of each broken law."""
    names = columns()
    yield "| law | " + " | ".join(names) + " |"
    yield "|---|" + "---|" * len(names)
    seen = []
    for law in LAWS:
        words = []
        for name, adapters in names.items():
            word, what = verdict(law, adapters, examples)
            words.append(word)
            if what:
                seen.append(f"- {name}, `{law.name}`: {what}")
        yield f"| {law.text} | " + " | ".join(words) + " |"
    yield "<!-- end -->"
    yield ""
    yield "What was seen:"
    yield ""
    yield from seen


def versions():
    """Return the libraries that were compared and their versions."""
    found = []
    for name in LIBRARIES:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return ", ".join(found)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--examples", type=int, default=60)
    args = parser.parse_args()
    lines = [
        f"{args.examples} cases for each law, of ties "
        f"{TIMES_MORE['ties_go_to_the_lower_row'] * args.examples}; "
        f"{versions()}.",
        "",
        "<!-- table -->",
        *table(args.examples),
    ]
    text = "\n".join(lines) + "\n"
    if args.out is None:
        print(text)
    else:
        args.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
