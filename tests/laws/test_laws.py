"""Every law on every way of skbq that it concerns."""

import pytest
from adapters import SKBQ
from hypothesis import given
from hypothesis import strategies as st
from laws import LAWS, cases
from profiles import chosen_profile, law_settings

SETTINGS = law_settings(chosen_profile().examples)


def test_laws_are_many_and_said_once():
    assert len({law.name for law in LAWS}) == len({law.text for law in LAWS}) >= 20


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.name)
def test_law(law):
    concerned = [adapter for adapter in SKBQ if law.concerns(adapter)]
    if not concerned:
        pytest.skip("no way of skbq that this law concerns")

    @SETTINGS
    @given(st.sampled_from(concerned), cases())
    def holds(adapter, case):
        law.check(adapter, case)

    holds()
