"""Keep Python's collector out of a worker's hot loop: it runs when a batch is committed."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

FULL_COLLECTION = 500  # batches from one collection of all to the next


@contextmanager
def settled_heap() -> Iterator[None]:
    """Keep the collector from walking what lives as long as the worker, and from its own pace.

    Schemas, plans and libraries are some 300,000 objects, a fifth of the hop's own time; and a
    batch makes thousands of tuples, which are all gone once it is committed: `tidy` looks then.
    """
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()


def tidy(batches: int) -> None:
    """Collect what a batch left in cycles; now and then what many left."""
    gc.collect(2 if batches % FULL_COLLECTION == 0 else 0)
