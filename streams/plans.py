"""The region's plans with all that they may name: processors and tasks."""

from datetime import date

from inference.tasks import load_tasks
from residency.keys import TokenKeys
from residency.plan.book import PlanBook, compile_all
from residency.plan.model import Plan
from streams.processor import discover


def compiled(region: str, on: date) -> tuple[Plan, ...]:
    """Return the plans of *region* on a day; raises as `compile_all` does."""
    return compile_all(region, on, processors=discover(), tasks=load_tasks())


def load_book(region: str, keys: TokenKeys, on: date) -> PlanBook:
    """Return the approved plans of *region* on a day, ready to be carried out."""
    return PlanBook.load(region, keys, on, discover(), load_tasks())
