"""Words that shells complete, by the shells themselves where they are installed."""

import os
import shutil
import subprocess
import sys

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
    assert completed(bash, capsys, "skbq", "completion", "") == ["bash", "zsh", "fish"]


def test_fish(capsys, tmp_path):
    assert cli.main(["completion", "fish"]) == 0
    script = capsys.readouterr().out
    assert "-l oversampling -r -d 'rerank C candidates" in script
    fish = shutil.which("fish")
    if fish is None:
        pytest.skip("fish is not installed")
    (tmp_path / "skbq.fish").write_text(script, encoding="utf-8")

    def offered(line):
        """Return the words, without what is said of them."""
        code = f"source skbq.fish; complete -C '{line}'"
        words = [fish, "--no-config", "-c", code]
        options = {"capture_output": True, "text": True, "check": True}
        # fish wants a home to write to.
        home = {**os.environ, "HOME": str(tmp_path)}
        done = subprocess.run(words, cwd=tmp_path, env=home, **options)
        assert not done.stderr
        return [line.split("\t")[0] for line in done.stdout.splitlines()]

    assert offered("skbq adv") == ["advise"]
    assert offered("skbq encode --bits ") == ["1", "2"]
    assert offered("skbq advise --metric e") == ["euclidean"]
    assert offered("skbq search x --overs") == ["--oversampling"]
    assert offered("skbq completion ") == ["bash", "fish", "zsh"]


# A terminal in which a user types, with the tab key; it waits for what is to come.
_TYPED = r"""
zmodload zsh/zpty
zpty z zsh -f -i
zpty -w z "PS1='> '; bindkey '^I' complete-word; source skbq.zsh; echo ready''."
zpty -r z answer '*ready.*'
zpty -w -n z $'skbq adv\t'
zpty -r z answer '*advise*'
zpty -w -n z $'--met\teu\t'
zpty -r z answer '*--metric*euclidean*'
zpty -d z
"""


@pytest.mark.skipif(
    shutil.which("zsh") is None or sys.platform == "win32",
    reason="zsh is not installed",
)
def test_zsh(capsys, tmp_path):
    assert cli.main(["completion", "zsh"]) == 0
    (tmp_path / "skbq.zsh").write_text(capsys.readouterr().out, encoding="utf-8")
    home = {**os.environ, "HOME": str(tmp_path), "ZDOTDIR": str(tmp_path)}
    typed = [shutil.which("zsh"), "-f", "-c", _TYPED]
    subprocess.run(typed, cwd=tmp_path, env=home, check=True, timeout=60)
