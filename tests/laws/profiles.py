"""How many examples the laws are tried on: few in every run, thousands in a nightly.

``SKBQ_LAWS=nightly`` chooses the second; the command stands in CONTRIBUTING.
"""

import os
from dataclasses import dataclass

from hypothesis import HealthCheck, Phase, settings


@dataclass(frozen=True)
class Profile:
    """What one run of the laws costs."""

    examples: int
    machine_examples: int
    machine_steps: int
    mutated_files: int


PROFILES = {
    "fast": Profile(
        examples=40,
        machine_examples=12,
        machine_steps=12,
        mutated_files=300,
    ),
    "nightly": Profile(
        examples=2000,
        machine_examples=1000,
        machine_steps=30,
        mutated_files=20_000,
    ),
}


def chosen_profile() -> Profile:
    """Return the profile that the environment asks for.

    Raises
    ------
    ValueError
        If it asks for one that does not exist.
    """
    name = os.environ.get("SKBQ_LAWS", "fast")
    if name not in PROFILES:
        raise ValueError(f"SKBQ_LAWS must be one of {sorted(PROFILES)}. Got {name!r}.")
    return PROFILES[name]


def law_settings(max_examples: int, **more) -> settings:
    """Return the settings of hypothesis for so many examples.

    The fast profile tries the same examples in every run, so that a change is to blame
    for what fails; the nightly one draws new ones.
    """
    return settings(
        max_examples=max_examples,
        derandomize=os.environ.get("SKBQ_LAWS", "fast") == "fast",
        deadline=None,
        database=None,
        print_blob=True,
        report_multiple_bugs=False,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
        **more,
    )
