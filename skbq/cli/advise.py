"""The command ``skbq advise``."""

import argparse
import csv
import io
import json
import shlex

from numpy.typing import ArrayLike

from .._advisor import QuantizationAdvisor
from .._advisor.bytes_curve import BytesCurve
from .._advisor.choice import PREFERENCES
from .._quantization.pca import PCAQuantizer
from ..datasets import load_wordnet_minilm
from ..exports import ENGINES
from ._inputs import add_inputs, load_vectors
from ._options import (
    Commands,
    add_force,
    add_metric,
    add_neighbors,
    check_folder,
    check_output,
    jsonable,
    write_text,
)
from ._terminal import InputError, checked, print_lines, progress

# Any, but fixed: the same command gives the same advice.
_SEED = 0
_SHIPPED = (
    "Embeddings of 5,000 WordNet glosses (shipped, all-MiniLM-L6-v2), and 250 queries."
)


def add(commands: Commands) -> None:
    """Add the command to the parser."""
    advise = commands.add_parser(
        "advise",
        help="choose how to quantize vectors, with recall measured on them",
        description=(
            "Measure codes of 8 to 192 bytes on a random sample of the vectors, and "
            "recommend the one that reaches the target recall with little memory and "
            "reranking."
        ),
    )
    add_inputs(advise, required=False)
    advise.add_argument(
        "--queries",
        metavar="FILE",
        help="real queries, on which recall is measured (default: rows held out)",
    )
    reach = "recall@K to reach (default: 0.95)"
    advise.add_argument(
        "--target-recall", type=float, default=0.95, metavar="R", help=reach
    )
    add_neighbors(advise)
    add_metric(advise)
    advise.add_argument(
        "--expected-rows",
        type=int,
        metavar="N",
        help="rows that will be searched eventually (default: those of the file)",
    )
    advise.add_argument(
        "--max-bytes",
        type=int,
        metavar="B",
        help="memory for each row that is searched, without vectors for reranking",
    )
    advise.add_argument(
        "--prefer",
        choices=PREFERENCES,
        default="memory",
        help="what decides among codes that reach the recall (default: memory)",
    )
    advise.add_argument(
        "--export",
        choices=ENGINES,
        metavar="ENGINE",
        help=f"settings of a product: {', '.join(ENGINES)}",
    )
    advise.add_argument(
        "-o",
        "--out",
        metavar="FOLDER",
        help="a new folder for the settings of --export, as files that run",
    )
    advise.add_argument("--html", metavar="REPORT.html", help="write a report as HTML")
    add_force(advise)
    table = advise.add_mutually_exclusive_group()
    table.add_argument("--json", action="store_true", help="print everything as JSON")
    table.add_argument(
        "--csv", action="store_true", help="print all strategies as a table in CSV"
    )
    advise.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Run the command."""
    if args.out is not None:
        if args.export is None:
            raise InputError("--out is for --export ENGINE, which is missing")
        check_folder(args.out, force=args.force)
    check_output(args.html, [*args.files, args.queries], force=args.force)
    progress("loading embeddings")
    X, queries = _load(args)
    advisor = QuantizationAdvisor(
        metric=args.metric,
        n_neighbors=args.neighbors,
        target_recall=args.target_recall,
        max_bytes=args.max_bytes,
        expected_rows=args.expected_rows,
        random_state=_SEED,
        prefer=args.prefer,
    )
    checked(advisor.fit, X, queries=queries)
    if args.html is not None:
        name = ", ".join(args.files) or "glosses of WordNet (shipped)"
        title = f"Quantization of {name}"
        command = _encode_command(advisor, args) if args.files else ""
        write_text(args.html, advisor._report_page(title, args.export, command))
    if args.out is not None:
        checked(checked(advisor.export, args.export).save, args.out)
    if args.json:
        print_lines([json.dumps(_as_json(advisor, args.export), indent=1)])
        return
    if args.csv:
        print_lines([_as_csv(advisor)])
        return
    lines = [advisor.report()]
    if not args.files:
        lines.insert(0, f"{_SHIPPED}\n")
        lines += ["", "Of your own vectors", "skbq advise FILE --queries FILE"]
    else:
        lines += ["", "Encode with", _encode_command(advisor, args)]
    if args.export is not None:
        lines += ["", str(checked(advisor.export, args.export))]
    if args.out is not None:
        lines += ["", f"{args.out}: written; README.txt there says what is what"]
    print_lines(lines)


def _load(args: argparse.Namespace) -> tuple[ArrayLike, ArrayLike | None]:
    """Return vectors and queries; None for queries to be held out."""
    options = {
        "column": args.column,
        "skip_invalid": args.skip_invalid,
        "zeros": args.metric != "cosine",
    }
    queries = None
    if args.queries is not None:
        queries = load_vectors(args.queries, **options)
    if not args.files:
        glosses = load_wordnet_minilm()
        return glosses.data, glosses.queries if queries is None else queries
    X = load_vectors(args.files, ids=args.ids, **options)
    if queries is not None and queries.shape[1] != X.shape[1]:
        raise InputError(
            f"{args.queries} has {queries.shape[1]} features, but {args.files[0]} has "
            f"{X.shape[1]} features"
        )
    return X, queries


def _as_json(advisor: QuantizationAdvisor, engine: str | None) -> dict[str, object]:
    table = [jsonable(row) for row in advisor.results_.rows()]
    found: dict[str, object] = {
        "recommended": {k: jsonable(v) for k, v in advisor.recommended_.items()},
        "recall": advisor.recall_,
        "recall_interval": jsonable(advisor.recall_interval_),
        "expected_rows": advisor.expected_rows_,
        "warnings": advisor.warnings_,
        "lists": advisor.lists_.to_dict(),
        "results": table,
        "bytes_curve": _bytes_curve(advisor.bytes_curve_),
        "recall_curves": {
            words: {
                name: jsonable(getattr(curve, name))
                for name in ("oversampling", "recall", "low", "high", "n_rows")
            }
            for words, curve in advisor.recall_curves_.items()
        },
    }
    if engine is not None:
        found["export"] = checked(advisor.export, engine).to_dict()
    return found


def _bytes_curve(curve: BytesCurve) -> dict[str, object]:
    """Return what is best at or below each number of bytes."""
    return {
        "bytes_per_row": jsonable(curve.bytes_per_row),
        "recall": jsonable(curve.recall),
        "recall_of": [point.strategy for point in curve.best_recall],
        "oversampling": jsonable(curve.oversampling),
        "oversampling_of": [point.strategy for point in curve.least_oversampling],
    }


def _as_csv(advisor: QuantizationAdvisor) -> str:
    """Write the table of strategies; the recommended one is marked."""
    out = io.StringIO()
    rows = advisor.results_.rows()
    columns = ["recommended", *(name for name in rows[0] if name != "params")]
    writer = csv.DictWriter(out, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for row in rows:
        chosen = row["strategy"] == advisor.recommended_["strategy"]
        writer.writerow({**row, "recommended": int(chosen)})
    return out.getvalue().rstrip("\n")


def _encode_command(advisor: QuantizationAdvisor, args: argparse.Namespace) -> str:
    """Return the command that builds the recommended index."""
    chosen = advisor.recommended_
    words = ["skbq", "encode", *args.files, "-o", "OUT", *_code_options(advisor)]
    for option, value in (("--column", args.column), ("--ids", args.ids)):
        words += [option, value] if value else []
    words += ["--skip-invalid"] if args.skip_invalid else []
    words += ["--metric", chosen["metric"], "--query", chosen["query"]]
    if chosen["oversampling"] is not None:
        words += ["--oversampling", f"{chosen['oversampling']:g}"]
    return shlex.join(words)


def _code_options(advisor: QuantizationAdvisor) -> list[str]:
    """Return the options of ``skbq encode`` that make the recommended codes."""
    chosen = advisor.recommended_
    quantizer = chosen["quantizer"]
    if isinstance(quantizer, PCAQuantizer):
        words = ["--n-bytes", str(chosen["bytes_per_row"])]
        words += ["--exponent", f"{quantizer.exponent:g}"]
        return [*words, "--max-depth", str(quantizer.max_depth)]
    words = ["--bits", str(chosen["bits"])]
    words += ["--threshold", "mean" if chosen["center"] else "zero"]
    words += ["--rotate"] if chosen["rotate"] else []
    return words + (["--lloyd-max"] if "lloyd_max" in chosen["strategy"] else [])
