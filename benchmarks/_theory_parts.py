"""Parts of the table of the theory: lines to print, bounds that must hold, records."""

from dataclasses import dataclass, field


@dataclass
class Part:
    """One part, made by itself and kept as JSON, so that parts can be made apart."""

    title: str
    lines: list
    bounds: list = field(default_factory=list)
    records: dict = field(default_factory=dict)
    made: str = ""


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return [*lines, *("| " + " | ".join(map(str, row)) + " |" for row in rows), ""]


def marked(name, lines):
    """Lines between marks, which the documentation finds them by."""
    return [f"<!-- {name} -->", "", *lines, "", f"<!-- end of {name} -->", ""]


def bound(what, found, limit, least=False):
    """One thing that must hold: found at most ``limit``, or at least."""
    holds = bool(found >= limit) if least else bool(found <= limit)
    sign = ">=" if least else "<="
    return [what, f"{found:.4f}", f"{sign} {limit:g}", "PASS" if holds else "FAIL"]
