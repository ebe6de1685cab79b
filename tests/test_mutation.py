"""What the hunt for mutants leaves out: what is listed, where it is, and no more."""

import tomllib

import mutation
import pytest


def listed():
    text = mutation.EQUIVALENT.read_text(encoding="utf-8")
    return tomllib.loads(text)["mutants"]


def test_what_is_listed_is_there():
    """Of every file that a target has, and of no others."""
    files = {file for target in mutation.TARGETS.values() for file in target.files}
    assert {one["file"] for one in listed()} <= files
    for file in files:
        assert mutation.worth_trying(file)  # raises for what is not there


def list_alone(monkeypatch, tmp_path, **one):
    entry = {"file": "_kernels/hadamard.py", "function": "mix_rows", "reason": "test"}
    text = "\n".join(f'{key} = "{value}"' for key, value in {**entry, **one}.items())
    path = tmp_path / "list.toml"
    path.write_text(f"[[mutants]]\n{text}\n", encoding="utf-8")
    monkeypatch.setattr(mutation, "EQUIVALENT", path)
    left = mutation.worth_trying("_kernels/hadamard.py")
    all_of = mutation.mutants("_kernels/hadamard.py")
    return [str(m) for m in all_of if str(m) not in {str(x) for x in left}]


def test_places_that_mutants_are_within(monkeypatch, tmp_path):
    given = monkeypatch, tmp_path
    within = "min(_LANES, n - start)"
    [mutant] = list_alone(*given, within=within)
    assert mutant.endswith("mix_rows: 'n - start' -> 'n + start'")
    assert list_alone(*given, within=within, before="n - start", after="n + start")
    assert len(list_alone(*given)) > 20  # all of a function


@pytest.mark.parametrize(
    "stale",
    [
        {"function": "mix"},
        {"within": "min(_LANES, n + start)"},
        {"before": "n - start", "after": "n * start"},
        {"within": "min(_LANES, n - start)", "before": "0", "after": "1"},
        {"function": "_transform", "within": "min(_LANES, n - start)"},
    ],
)
def test_what_is_listed_and_not_there_is_refused(monkeypatch, tmp_path, stale):
    with pytest.raises(ValueError, match=r"list\.toml lists what is not there"):
        list_alone(monkeypatch, tmp_path, **stale)
