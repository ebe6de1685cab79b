"""The asserts of the laws are explained as those of tests are."""

import pytest

pytest.register_assert_rewrite("laws", "adapters")
