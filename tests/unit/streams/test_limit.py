"""The quarantine limit: a broken release stops a worker, a handful of bad records does not."""

import pytest

from schemas.errors import HaltError
from streams.limit import LimitPolicy, QuarantineLimit

POLICY = LimitPolicy(window=100, share=0.5, at_least=20)


@pytest.mark.parametrize(
    "batches",
    [
        pytest.param([(20, 20)], id="a handful, however large its share"),
        pytest.param([(100, 50)], id="just the share"),
        pytest.param([(1_000, 400)], id="many, but few of all"),
        pytest.param([(50, 20), (100, 0), (50, 20)], id="spread over more than a window"),
        pytest.param([(0, 0)], id="nothing"),
    ],
)
def test_a_worker_goes_on_below_the_limit(batches: list[tuple[int, int]]) -> None:
    limit = QuarantineLimit(POLICY)

    for total, quarantined in batches:
        limit.note(total, quarantined)


@pytest.mark.parametrize(
    "batches",
    [
        pytest.param([(21, 21)], id="all, one over the handful"),
        pytest.param([(100, 51)], id="one over the share"),
        pytest.param([(1_000, 0), (100, 60)], id="what was fine is forgotten after a window"),
        pytest.param([(1, 1)] * 21, id="one by one"),
    ],
)
def test_a_worker_halts_above_the_limit(batches: list[tuple[int, int]]) -> None:
    limit = QuarantineLimit(POLICY)
    for total, quarantined in batches[:-1]:
        limit.note(total, quarantined)

    with pytest.raises(HaltError, match="homeport quarantine list"):
        limit.note(*batches[-1])


@pytest.mark.parametrize(
    "numbers", [{"share": 0.0}, {"share": 1.1}, {"window": 0}, {"at_least": 0}]
)
def test_a_limit_that_means_nothing_is_refused(numbers: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="share"):
        LimitPolicy(**numbers)  # type: ignore[arg-type]
