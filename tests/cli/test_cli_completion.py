"""Words that bash completes, by bash itself."""

import shutil
import subprocess

import pytest

from skbq import cli


@pytest.fixture(scope="module")
def bash():
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("bash is not installed")
    return bash


def completed(bash, capsys, *words):
    """Return what bash offers for the last of the words."""
    assert cli.main(["completion", "bash"]) == 0
    listed = " ".join(f"'{word}'" for word in words)
    code = (
        f"{capsys.readouterr().out}\nCOMP_WORDS=({listed}); "
        f'COMP_CWORD={len(words) - 1}; _skbq; printf "%s\\n" "${{COMPREPLY[@]}}"'
    )
    done = subprocess.run(
        [bash, "--norc", "-c", code], capture_output=True, text=True, check=True
    )
    assert not done.stderr
    return done.stdout.split()


def test_commands(bash, capsys):
    offered = completed(bash, capsys, "skbq", "")
    assert {"advise", "demo", "search", "--version"} <= set(offered)
    assert completed(bash, capsys, "skbq", "adv") == ["advise"]


def test_options(bash, capsys):
    offered = completed(bash, capsys, "skbq", "search", "index.skbq", "--o")
    assert offered == ["--oversampling", "--out"]
    assert completed(bash, capsys, "skbq", "demo", "--q") == ["--quiet"]
    assert completed(bash, capsys, "skbq", "search", "") == []


def test_values(bash, capsys):
    assert completed(bash, capsys, "skbq", "encode", "--bits", "") == ["1", "2"]
    offered = completed(bash, capsys, "skbq", "advise", "--metric", "e")
    assert offered == ["euclidean"]
    assert completed(bash, capsys, "skbq", "completion", "") == ["bash"]
