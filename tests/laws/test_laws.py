"""Every law on every way of skbq that it concerns."""

from pathlib import Path

import pytest
from adapters import SKBQ
from hypothesis import given
from hypothesis import strategies as st
from laws import LAWS, cases
from peers import peers
from profiles import chosen_profile, law_settings

# Cases are small on purpose.
pytestmark = pytest.mark.filterwarnings("ignore:The quantizer learned from:UserWarning")
SETTINGS = law_settings(chosen_profile().examples)


def test_laws_are_many_and_said_once():
    assert len({law.name for law in LAWS}) == len({law.text for law in LAWS}) >= 20


def hold(law, adapters, settings):
    """Try a law on cases, each with one of the adapters."""

    @settings
    @given(st.sampled_from(adapters), cases())
    def holds(adapter, case):
        law.check(adapter, case)

    holds()


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.name)
def test_law(law):
    concerned = [adapter for adapter in SKBQ if law.concerns(adapter)]
    if not concerned:
        pytest.skip("no way of skbq that this law concerns")
    hold(law, concerned, SETTINGS)


TABLE = Path(__file__).parents[2] / "benchmarks" / "results" / "laws.md"


def kept_by(peer):
    """The laws that the table in the docs says a peer keeps."""
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in TABLE.read_text(encoding="utf-8").splitlines()
        if line.startswith("|")
    ]
    column = rows[0].index(peer.name)
    return {row[0] for row in rows if row[column] == "yes"}


@pytest.mark.parametrize("peer", peers(), ids=lambda peer: peer.name)
def test_peer_keeps_what_the_docs_say(peer):
    kept = kept_by(peer)
    assert kept
    for law in LAWS:
        if law.text in kept:
            hold(law, [peer], law_settings(10))
