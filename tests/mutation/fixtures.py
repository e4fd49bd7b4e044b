"""What the tests get instead of `conftest.py` when a mutant is tried: no brokers, few examples."""

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "mutation",
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=50,
    suppress_health_check=list(HealthCheck),
)
settings.load_profile("mutation")


@pytest.fixture(scope="session")
def long_run() -> bool:
    """Return False: a mutant is tried with the short form."""
    return False
