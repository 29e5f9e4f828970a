"""Which family each image of a job is in, kept in its state, for a run that goes on."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dask_quant.collection.family_index import FamilyIndex
    from dask_quant.collection.output import State

FAMILIES_NAME = "families.jsonl"
"""How far families are, in its first line, and in each of the others a family and an image."""


@dataclass(frozen=True)
class FamilyPlan:
    """How far families are."""

    n_rounds: int = 0
    """Times that families were made."""
    n_names: int = 0
    """Families that have, or had, a name."""


def keep_families(state: State, plan: FamilyPlan, index: FamilyIndex) -> None:
    """Keep which image is in which family, all at once. **Eager**."""
    values = ([plan.n_rounds, plan.n_names], *index.list_members())
    state.write(FAMILIES_NAME, (json.dumps(each).encode() + b"\n" for each in values))


def find_families(state: State, index: FamilyIndex) -> FamilyPlan | None:
    """Have an index take over the families that were kept; None where none were. **Eager**."""
    data = state.read(FAMILIES_NAME)
    if data is None:
        return None
    lines = map(json.loads, data.splitlines())
    plan = FamilyPlan(*next(lines))
    index.set_families((name, id) for name, id in lines)
    return plan
