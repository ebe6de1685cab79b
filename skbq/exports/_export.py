"""What an export gives: settings to paste, what was promised, and who does what."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from .._html.page import Code, piece
from .._utils.estimate import Estimate, say_recall
from ..codes import CodeArray, as_codes
from ._candidates import MAX_OVERSAMPLING
from ._engine import Choice, Engine, Plan, Snippets
from ._prepare import Prepare

# Files that console statements read: a row and a query, and their codes.
_EXAMPLES = ("row", "query")
_IN_JSON = (
    "engine",
    "strategy",
    "reached",
    "oversampling",
    "settings",
    "schema",
    "insert",
    "query",
    "python",
    "applied_by_engine",
    "applied_by_user",
    "cannot",
    "notes",
    "checked",
)
SUFFIXES = {"sql": "sql", "sh": "sh", "redis": "sh", "js": "js"}


def _two_rows(vectors: ArrayLike) -> np.ndarray:
    """Return the first and the last of rows."""
    rows = np.asarray(vectors)
    if rows.ndim != 2 or not len(rows):
        raise ValueError(
            "vectors must be rows, of shape (n_samples, n_features). Got shape "
            f"{rows.shape} instead."
        )
    return rows[[0, -1]]


@dataclass(frozen=True)
class Export:
    """Settings of one engine for the best strategy that it can run.

    Printing it shows all of it in readable form.

    Attributes
    ----------
    engine : str
        Name of the product.
    strategy : str
        The strategy that it runs, in words.
    promise : Estimate or None
        Recall@k to expect of that strategy; None if it was not measured.
    reached : bool
        Whether the promise reaches the recall asked for.
    oversampling : float or None
        Candidates to rerank for each neighbor; None: no reranking.
    schema, insert, query : str
        Console statements: SQL for its shell, or commands with ``curl``; empty for
        libraries. They read a row and a query from the files that :meth:`save` writes.
    python : str
        A program that takes the float arrays ``vectors`` of shape (n_samples,
        n_features) and ``queries`` of shape (n_queries, n_features), and leaves the
        numbers of the nearest rows in ``neighbors``.
    prepare : Prepare
        What happens to rows and queries before. Fitted if the export is an advisor's;
        else call ``prepare.fit(vectors)``.
    applied_by_engine : list of str
        What of the strategy the engine does itself.
    applied_by_user : list of str
        What must be done outside of it.
    cannot : list of str
        What of the recommendation it cannot do, and what it does instead.
    notes : list of str
        What else to know of it.
    checked : str
        What the settings were checked with or against, and when.
    """

    engine: str
    strategy: str
    promise: Estimate | None
    reached: bool
    oversampling: float | None
    schema: str
    insert: str
    query: str
    python: str
    prepare: Prepare
    applied_by_engine: list[str] = field(default_factory=list)
    applied_by_user: list[str] = field(default_factory=list)
    cannot: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    checked: str = ""
    shell: str = field(default="", repr=False)
    example: np.ndarray | None = field(default=None, repr=False, compare=False)

    @property
    def settings(self) -> str:
        """All that is pasted into a console, or the program for a library."""
        parts = [self.schema, self.insert, self.query]
        return "\n\n".join(filter(None, parts)) or self.python

    def __str__(self) -> str:
        """Give all of it as text."""
        parts = [
            (f"Settings for {self.engine}", self._promise()),
            *self._blocks,
            *((title, _as_list(lines)) for title, lines in self._lists),
            ("Checked", self.checked),
        ]
        return "\n\n".join(
            f"{title}\n{'-' * len(title)}\n{text}" for title, text in parts if text
        )

    @property
    def _blocks(self) -> list[Code]:
        """What is copied, with its title."""
        parts = [
            ("Schema", self.schema),
            ("Insert", self.insert),
            ("Query", self.query),
            ("All of it in Python", self.python),
        ]
        return [Code(title, text) for title, text in parts if text]

    @property
    def _lists(self) -> list[tuple[str, list[str]]]:
        """What must be known, with its title."""
        return [
            (f"Done by {self.engine}", self.applied_by_engine),
            ("To be done by you", self.applied_by_user),
            (f"What {self.engine} cannot do of it", self.cannot),
            ("Good to know", self.notes),
        ]

    def _repr_html_(self) -> str:
        return piece("export.html", export=self)

    def _promise(self) -> str:
        return "\n".join([f"Strategy: {self.strategy}", *self._promised()])

    def _promised(self) -> list[str]:
        """Say what recall to expect, a sentence a line."""
        lines = ["Recall: not measured for this strategy, so measure it."]
        if self.promise is not None:
            lines = [f"Recall promised: {say_recall(self.promise)}"]
        if not self.reached:
            lines.append(
                f"The recall asked for is not reached by what {self.engine} can run."
            )
        return lines

    def to_dict(self) -> dict[str, object]:
        """Return what can be written as JSON: all but arrays."""
        found: dict[str, object] = {name: getattr(self, name) for name in _IN_JSON}
        p = self.promise
        promise = None if p is None else [p.value, p.low, p.high, p.confidence]
        steps = {s: getattr(self.prepare, s) for s in ("unit", "rotate", "center")}
        return {**found, "promise": promise, "prepare": steps}

    def save(
        self, folder: str | PathLike[str], vectors: ArrayLike | None = None
    ) -> None:
        """Write everything into a folder, as files that run from there.

        Parameters
        ----------
        folder : path-like
            Made if it is not there.
        vectors : array-like of shape (n_samples, n_features), default=None
            Rows, the first and the last of which become the row and the query that the
            console statements read. An advisor's export has some of its own.

        Raises
        ------
        TypeError, ValueError
            If vectors are none, or of another width than those of the export.

        Notes
        -----
        The folder then holds README.txt (what printing shows), the console statements
        (``schema``, ``insert``, ``query``), ``search.py``, and ``prepare.py`` with
        ``prepare.npz`` (or ``prepare.joblib``) for rows and queries to come.
        """
        rows = self.example if vectors is None else _two_rows(vectors)
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        suffix = SUFFIXES.get(self.shell, "txt")
        texts = {
            "README.txt": str(self),
            f"schema.{suffix}": self.schema,
            f"insert.{suffix}": self.insert,
            f"query.{suffix}": self.query,
            "search.py": self.python,
        }
        for name, text in texts.items():
            if text:
                (folder / name).write_text(text + "\n", encoding="utf-8")
        if not hasattr(self.prepare, "center_") and vectors is not None:
            self.prepare.fit(vectors)
        if hasattr(self.prepare, "center_"):
            self.prepare.save(folder)
        if rows is not None and self.schema:
            rows = rows[[0, -1]]
            given = rows if self._codes_only else self.prepare.rows(rows)
            codes = as_codes(self.prepare.codes(rows), n_features=self.prepare.n_bits)
            save_examples(folder, self.insert + self.query, _EXAMPLES, given, codes)

    @property
    def _codes_only(self) -> bool:
        """Whether the vectors themselves are stored as they are, beside codes."""
        return "_code." in self.insert


def save_examples(
    folder: Path,
    console: str,
    names: Sequence[str],
    vectors: np.ndarray,
    codes: CodeArray,
) -> None:
    """Write vectors and their codes in the forms that console statements read."""
    for name, row, code, signs in zip(
        names, vectors, np.asarray(codes), codes.unpack(), strict=True
    ):
        numbers = ", ".join(format(x, ".9g") for x in row)
        bits = "".join("1" if sign > 0 else "0" for sign in signs)
        files = {
            f"{name}.json": f"[{numbers}]".encode(),
            f"{name}_code.bits": bits.encode(),
            f"{name}_code.bin": code.tobytes(),
            f"{name}_code.json": json.dumps(code.view(np.int8).tolist()).encode(),
        }
        for file, content in files.items():
            if file in console:
                (folder / file).write_bytes(content)


def _as_list(lines: list[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def make_export(
    engine: Engine, choice: Choice, plan: Plan, snippets: Snippets
) -> Export:
    """Put together what was chosen, what was written, and what must be said."""
    strategy = plan.strategy
    return Export(
        engine=engine.name,
        strategy=strategy.in_words,
        promise=strategy.promise,
        reached=strategy.reached,
        oversampling=strategy.oversampling,
        **snippets._asdict(),
        prepare=plan.prepare,
        applied_by_engine=_done_by_engine(plan),
        applied_by_user=_done_by_user(plan),
        cannot=choice.differences,
        notes=[*plan.method.notes, *engine.notes],
        checked=engine.checked,
        shell=engine.shell,
    )


def _done_by_engine(plan: Plan) -> list[str]:
    strategy, method = plan.strategy, plan.method
    coded = "codes" in (method.center, method.rotate)
    done = [
        f"Search by {method.name}." if coded else f"Codes and search: {method.name}."
    ]
    if strategy.center and method.center in ("engine", "option"):
        done.append("Centering.")
    if strategy.rotate and method.rotate in ("engine", "option"):
        done.append("Rotation.")
    if strategy.reranks and method.reranks:
        done.append(f"Reranking of {plan.n_candidates} candidates with the vectors.")
    return done


def _done_by_user(plan: Plan) -> list[str]:
    said = []
    prepare, strategy, method = plan.prepare, plan.strategy, plan.method
    if "codes" in (method.center, method.rotate):
        said.append(
            "Codes of rows and queries: prepare.codes(X) (part of the program). The "
            "vectors stay as they are."
        )
        if strategy.linear_map is not None:
            said.append(
                f"The codes are the signs of a linear map to {strategy.n_bits} numbers "
                "(the strongest principal axes, rotated): X @ rotation - center, with "
                "the arrays of prepare.npz."
            )
    elif not prepare.is_identity:
        steps = [
            text
            for used, text in (
                (prepare.unit, "unit length"),
                (prepare.rotate, "rotation"),
                (prepare.center, "the center subtracted"),
            )
            if used
        ]
        said.append(
            f"Preparation of rows and queries ({', '.join(steps)}): prepare.rows(X) "
            "and prepare.query(q) (part of the program)."
        )
    if said:
        said.append(
            "Keep prepare.npz and prepare.py, or prepare.joblib, which save(folder) "
            "writes: rows and queries that come later need the same."
        )
    if plan.metric != strategy.metric:
        said.append(
            "The metric set here is Euclidean distance: of centered unit-norm vectors "
            "it ranks as the cosine does, and a distance d stands for the cosine "
            "1 - d^2 / 2."
        )
    if strategy.reranks and not method.reranks:
        said.append("Reranking with the float vectors (part of the program).")
    if (strategy.oversampling or 1) > MAX_OVERSAMPLING:
        said.append(
            f"An oversampling of {strategy.oversampling:g} is a lot to rerank. skbq's "
            "own recommendation needs less, but this engine cannot run it."
        )
    return said
