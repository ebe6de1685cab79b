"""Pages and pieces: templates filled in, and what a page says of its making."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from sklearn.exceptions import NotFittedError
from sklearn.utils import estimator_html_repr
from sklearn.utils.validation import check_is_fitted

if TYPE_CHECKING:
    from jinja2 import Environment


class Fact(NamedTuple):
    """A figure: its name, its value, and what must be known with it."""

    name: str
    value: str
    note: str = ""


class Table(NamedTuple):
    """A table of texts; ``marked`` is the number of the row to be found first."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    marked: int | None = None


class Code(NamedTuple):
    """Something to copy: what it is, and its text."""

    title: str
    text: str


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("skbq._html"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )


def piece(template: str, **values: object) -> str:
    """Fill in a template as a piece for a notebook: styled, without a script.

    Parameters
    ----------
    template : str
        Name of a file in ``templates``.
    **values : object
        What it shows.

    Returns
    -------
    html : str
    """
    environment = _environment()
    return environment.get_template("piece.html").render(body=template, **values)


def page(
    template: str, *, title: str, parameters: Mapping[str, object], **values: object
) -> str:
    """Fill in a template as a page that needs nothing else: no network, no file.

    Parameters
    ----------
    template : str
        Name of a file in ``templates``.
    title : str
        Heading of the page.
    parameters : mapping of str to object
        With which it was made; it ends with these, the date and the version.
    **values : object
        What it shows.

    Returns
    -------
    html : str
    """
    from .. import __version__

    return (
        _environment()
        .get_template("page.html")
        .render(
            body=template,
            title=title,
            parameters={name: repr(value) for name, value in parameters.items()},
            version=__version__,
            made=datetime.now(UTC),
            **values,
        )
    )


class HTMLReportMixin:
    """Shows an estimator in a notebook: its report once fitted, else its diagram."""

    def _report_piece(self) -> str:
        """Return the report of the fitted estimator as a piece of HTML."""
        raise NotImplementedError

    def _repr_html_(self) -> str:
        try:
            check_is_fitted(self)
        except NotFittedError:
            return estimator_html_repr(self)
        return self._report_piece()

    def _repr_mimebundle_(self, **kwargs: object) -> dict[str, str]:
        return {"text/plain": repr(self), "text/html": self._repr_html_()}
