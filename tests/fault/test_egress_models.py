"""Labels leave with the name of the model that gave them, and of an accepted one only.

On a real ledger and a real Postgres, as the rest of egress; `test_halt` has it on the real line.
"""

from datetime import timedelta

import pytest
from egress_world import MODEL, World, labels, review

from residency.gate.check import GateHalt
from residency.ledger.leaves import TransferLeaf
from schemas.errors import Cause


def transfers(world: World) -> dict[str, str | None]:
    """Return the model that each transfer leaf names, by record."""
    found = [leaf for leaf in world.leaves() if isinstance(leaf, TransferLeaf)]
    return {str(leaf.record): leaf.model for leaf in found}


def test_the_leaf_of_labels_names_their_model_and_no_other_leaf_names_any(world: World) -> None:
    base, labelled = review(1, "M-1"), labels(2, "M-2")

    results = world.egress().carry([base, labelled])

    named = transfers(world)
    world.die()
    assert results == {"accepted": 2}
    assert named == {str(base.record.id): None, str(labelled.record.id): MODEL}


@pytest.mark.parametrize("model", [None, "00" * 32])
def test_labels_of_a_model_that_nobody_accepted_halt_before_anything_is_logged(
    world: World, model: str | None
) -> None:
    carrier = world.egress()

    with pytest.raises(GateHalt) as caught:
        carrier.carry([review(1, "M-1"), labels(2, "M-2", model)])

    leaves = world.leaves()
    world.die()
    assert caught.value.cause is Cause.MODEL
    assert leaves == []
    assert world.org.sent == []


def test_labels_that_wait_for_the_org_keep_the_name_of_their_model(world: World) -> None:
    labelled = labels(1, "M-1")
    world.org.busy = frozenset({str(labelled.record.id)})
    first = world.egress().carry([labelled])
    world.die()
    world.org.busy, world.now = frozenset(), world.now + timedelta(hours=1)

    then = world.egress().retry()  # the gate sees it again, by what the database kept

    named = transfers(world)
    world.die()
    assert (first, then) == ({"parked": 1}, {"accepted": 1})
    assert named == {str(labelled.record.id): MODEL}
    assert world.org.rows[labelled.record.external_id]["Intent__c"] == "praise"
