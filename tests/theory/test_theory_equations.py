"""The theory chapter and the code that cites it: numbers agree, derivations hold."""

import io
import re
import tokenize
from pathlib import Path

import numpy as np
import pytest

import skbq.theory
from skbq.theory._fidelity.row_statistics import mean_deviation
from skbq.theory._fidelity.unit_vectors import UnitVectors
from skbq.theory._normal import Normal

CODE = Path(skbq.theory.__file__).parent
CHAPTER = Path(__file__).parents[2] / "docs" / "theory"


def pages():
    """Names of the pages, in the order that numbers them."""
    index = (CHAPTER / "index.rst").read_text()
    tree = index.split(":numbered:")[1].split("\n\n")[1]
    return tree.split()


def labels():
    return [
        re.findall(r":label: (\S+)", (CHAPTER / f"{page}.rst").read_text())
        for page in pages()
    ]


def test_labels_are_the_numbers_that_readers_see():
    for number, found in enumerate(labels(), 1):
        assert found == [f"{number}.{i}" for i in range(1, len(found) + 1)]


def citations(path):
    """Numbers in brackets, and after "equation", in comments and strings of a file."""
    for token in tokenize.generate_tokens(io.StringIO(path.read_text()).readline):
        if token.type in (tokenize.COMMENT, tokenize.STRING):
            yield from re.findall(r"(?<!\w)\((\d\.\d{1,2})\)", token.string)
            for first, last in re.findall(
                r"(?i:equations?) (\d\.\d{1,2})(?: to (\d\.\d{1,2}))?", token.string
            ):
                yield from filter(None, (first, last))


def test_every_equation_that_code_cites_is_there():
    known = {label for page in labels() for label in page}
    cited = {
        number: path.name for path in CODE.rglob("*.py") for number in citations(path)
    }
    assert len(cited) > 60
    assert not {number: path for number, path in cited.items() if number not in known}


@pytest.fixture(scope="module")
def normal():
    rng = np.random.default_rng(0)
    root = rng.standard_normal((6, 9)) / 3
    return Normal.of(rng.standard_normal(6), root @ root.T)


@pytest.fixture(scope="module")
def drawn(normal):
    rng = np.random.default_rng(1)
    return rng.multivariate_normal(normal.mean, normal.covariance, 400_000)


def agree(found, samples, errors=5):
    """Whether a number is the mean of independent samples, within standard errors."""
    error = samples.std(axis=0) / np.sqrt(len(samples))
    np.testing.assert_array_less(np.abs(found - samples.mean(axis=0)), errors * error)


def test_moments_of_the_mean_deviation_are_exact(normal, drawn):
    """Equations 2.3, 2.4, 2.9 and 2.11 against draws."""
    center = np.linspace(-0.5, 0.5, 6)
    statistic = mean_deviation(normal, center, 0.9)
    phi = 0.9 * np.abs(drawn - center).mean(axis=1)
    around, e = phi - phi.mean(), drawn - normal.mean
    agree(statistic.mean, phi)
    # The series stop at order 24.
    assert statistic.variance == pytest.approx(phi.var(), rel=0.01)
    agree(statistic.cross, e * around[:, None])
    products = e[:, :, None] * e[:, None, :]
    agree(statistic.third, products * around[:, None, None])


def test_moments_of_directions_are_exact(normal, drawn):
    """Equations 3.4 to 3.6, 3.10 and 3.12 against draws."""
    unit = UnitVectors(normal)
    norm = np.linalg.norm(drawn, axis=1)
    f = drawn / norm[:, None]
    agree(unit.mean, f)
    agree(
        unit.covariance + np.multiply.outer(unit.mean, unit.mean),
        f[:, :, None] * f[:, None, :],
    )
    agree(
        unit.cross + np.multiply.outer(normal.mean, unit.mean),
        drawn[:, :, None] * f[:, None, :],
    )
    agree(unit.norm.mean, norm)
    agree(unit.norm.cross, (drawn - normal.mean) * (norm - norm.mean())[:, None])
    rest = norm - norm.mean() - (drawn - normal.mean) @ unit.norm.gradient
    agree(unit.norm_excess(), (f - f.mean(axis=0)) * rest[:, None])


def test_the_error_of_a_corrected_code_is_orthogonal_and_of_the_size_derived():
    """Equations 7.3, 7.5 and 7.7, with depths 0 and 1 on principal axes."""
    rng = np.random.default_rng(0)
    d, n = 400, 2000
    variance = np.arange(1.0, d + 1) ** -0.3
    spectrum = np.arange(1.0, d + 1) ** -0.5  # of differences between neighbors
    a = rng.standard_normal((n, d)) * np.sqrt(variance)
    r = np.sqrt(2 / np.pi * variance) * np.sign(a)
    r[:, 300:] = 0.0
    f = np.sum(a * a, axis=1) / np.sum(r * a, axis=1)
    e = f[:, None] * r - a
    assert np.abs(np.sum(e * a, axis=1)).max() < 1e-10 * d
    distortion = np.where(np.arange(d) < 300, 1 - 2 / np.pi, 1.0)
    typical = 1 / (1 - variance @ distortion / variance.sum())
    assert f.mean() == pytest.approx(typical, rel=0.01)
    square = variance * (distortion + (1 - distortion) * (typical - 1) ** 2)
    delta = rng.standard_normal((n, d)) * np.sqrt(spectrum)
    error = np.sum(e * delta, axis=1)
    # 2,000 rows tell a variance to 3 %.
    assert error.var() == pytest.approx(spectrum @ square, rel=0.1)
    closed = skbq.theory.corrected_error(variance, distortion, spectrum)
    assert closed == pytest.approx(spectrum @ square)


@pytest.mark.parametrize("strength", [0.0, 0.25, 1.0])
def test_a_weaker_correction_costs_less_along_the_code(strength):
    """Equations 7.12 and 7.13."""
    rng = np.random.default_rng(1)
    d, n = 400, 2000
    variance = np.arange(1.0, d + 1) ** -0.3
    spectrum = np.arange(1.0, d + 1) ** -0.5
    a = rng.standard_normal((n, d)) * np.sqrt(variance)
    r = np.sqrt(2 / np.pi * variance) * np.sign(a)
    r[:, 300:] = 0.0
    distortion = np.where(np.arange(d) < 300, 1 - 2 / np.pi, 1.0)
    along, squares = np.sum(r * a, axis=1), np.sum(a * a, axis=1)
    near = along / np.sum(r * r, axis=1)
    g = (1 - strength) * near + strength * squares / along
    e = g[:, None] * r - a
    # What the row itself meets is a part of what its code lacks.
    lacks = squares - along * near
    np.testing.assert_allclose(
        np.sum(e * a, axis=1), -(1 - strength) * lacks, atol=1e-9
    )
    delta = rng.standard_normal((n, d)) * np.sqrt(spectrum)
    closed = skbq.theory.corrected_error(
        variance, distortion, spectrum, strength=strength
    )
    assert np.sum(e * delta, axis=1).var() == pytest.approx(closed, rel=0.1)


def test_a_share_of_a_bit_for_each_axis_leaves_as_much_of_every_row():
    """Equation 7.15, and how far rows deviate from it."""
    rng = np.random.default_rng(2)
    d, kept, n = 200, 50, 3000
    variance = np.arange(1.0, d + 1) ** -0.5
    directions = np.linalg.qr(rng.standard_normal((d, d)))[0][:, :kept]
    a = rng.standard_normal((n, d)) * np.sqrt(variance)
    turned = a @ directions
    level = np.sqrt(2 / np.pi) * turned.std(axis=0)
    left = np.square(a - level * np.sign(turned) @ directions.T).sum(axis=1).mean()
    # 1 - D of one bit is 2 / pi.
    closed = (1 - kept / d * 2 / np.pi) * variance.sum()
    assert left == pytest.approx(closed, rel=0.02)
    few = np.zeros((n, d))  # rows of few axes each, of which all keep their share
    few[np.arange(n)[:, None], rng.integers(d, size=(n, 3))] = 1.0
    shares = np.square(few @ directions).sum(axis=1) / np.square(few).sum(axis=1)
    assert shares.mean() == pytest.approx(kept / d, rel=0.05)
    assert shares.std() < np.sqrt(2 / kept) * kept / d
