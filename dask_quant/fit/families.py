"""Palette families: images gathered so that few palettes serve all of them well enough.

A family is some images that share a palette, fitted to all their colours, with which the error of
each is within a limit. As few families as can be is a covering problem, which is hard; what is
done here is near-linear in the images, and comes close:

1. *Part.* A palette is fitted to all. The images that it serves get one of their own, as long as it
   serves more; where that is most of them they are a family, and the others go on. Where it is not,
   images are halved by which of two palettes serves them better, a k-means of palettes.
2. *Merge.* Families whose palettes are alike are joined where one palette serves both: the closest
   first, a few for each, as the pairs of agglomerative clustering are.
3. *Absorb.* Images of small families go where they find a place in another, and what is left is
   merged again.

All of it looks at summaries. So what comes out is a proposal, which exact fits confirm, or not:
`FamilyFinder.part_again` then says what to try next. Nothing is drawn at random, and images have
no order but that of their numbers.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from dask_quant.events import Event, ignore_event
from dask_quant.fit.family_errors import ErrorMeter
from dask_quant.fit.quick_fit import fit_quickly

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from dask_quant.events import Listener
    from dask_quant.fit.summary_table import SummaryTable
    from dask_quant.fit_options import FitOptions, Target
    from dask_quant.palette import Palette

    Items = NDArray[np.int64]

FIT_ITEMS = 1024
"""Images that a palette is fitted to while families are looked for; of more, the first. They stand
in no order, so that these are a sample (arbitrary)."""

_CORE_STEPS = 5
"""Times that the images which a palette serves get another one (measured: rarely more change)."""

_HALF_STEPS = 4
"""Times that images choose between two palettes (arbitrary)."""

_NEAR = 32
"""Families whose mean colours are nearest, which one is compared with (arbitrary)."""

_TRIES = 8
"""Families that one is tried to be joined with (measured: all of them save 5 % of families)."""

_SWEEPS = 2
"""Times that images of small families look for a place in others (measured: more save 1 %)."""

_SMALL = 16
"""Images up to which a family is small (measured: more save nothing)."""

_HARDEST = 8
"""Images of each of two families that a palette for both is tried on first (arbitrary)."""

_MANY = 64
"""Images from which on one more does not change the palette of a family (arbitrary)."""

_PLACES = 4
"""Families that are tried for an image of a small one (arbitrary)."""


@dataclass(frozen=True, eq=False)
class _Family:
    """Images and a palette that was fitted to them."""

    items: Items
    """Which, ascending."""
    palette: Palette
    """Theirs."""
    errors: NDArray[np.float64]
    """Of each of them."""
    middle: NDArray[np.float64]
    """Mean colour of the palette."""

    @property
    def hardest(self) -> Items:
        """Its images, that of the highest error first."""
        return self.items[np.argsort(-self.errors, kind="stable")]


class FamilyFinder:
    """Finds families among the images of a table.

    Parameters
    ----------
    table : SummaryTable
        Their summaries, in an order that says nothing: that of a hash.
    options : FitOptions
        How palettes are fitted.
    target : Target
        What the palette of a family is to meet for every image of it.
    listener : callable
        Told of images that are in a family, of pairs of families that were tried, and of small
        families that were looked through.
    """

    def __init__(
        self,
        table: SummaryTable,
        options: FitOptions,
        target: Target,
        listener: Listener = ignore_event,
    ) -> None:
        self._table, self._options, self._listen = table, options, listener
        space = "srgb" if table.has_alpha else options.space
        self._meter = ErrorMeter(target, space, table.has_alpha)
        self._limit = self._meter.limit

    def find(self, items: Items) -> list[Items]:
        """Return families of images, a palette of whose own meets the target. **Eager**.

        Parameters
        ----------
        items : ndarray
            Numbers of the images, int64 ``(n,)``.

        Returns
        -------
        list of ndarray
            Every image in one family, int64, ascending; that of the most images first.

        Notes
        -----
        O(n log(families)) comparisons of an image with a palette, and some tens of fits for each
        family, to `FIT_ITEMS` images at most. Peak memory: 100 bytes an image.
        """
        if len(items) == 0:
            return []
        families = self._absorb(self._merge(self._part(np.sort(items))))
        return self.sort(each.items for each in families)

    def part_again(
        self, failed: Sequence[tuple[Items, NDArray[np.bool_]]], *, is_last: bool
    ) -> list[Items]:
        """Return families in place of some that exact fits did not confirm. **Eager**.

        Those that the exact palette served stay together, the others are gathered anew. So each
        family that comes of it has fewer images than the one before, or none of them.

        Parameters
        ----------
        failed : sequence of tuple
            The images of a family, and of which of them the error is beyond the limit.
        is_last : bool
            Whether those are given up: each is a family of its own.
        """
        found: list[Items] = []
        left: list[Items] = []
        for items, is_beyond in failed:
            if is_beyond.all():
                found += self._halve(items)
            else:
                found.append(items[~is_beyond])
                left.append(items[is_beyond])
        others = np.sort(np.concatenate([np.empty(0, dtype=np.int64), *left]))
        found += [others[i : i + 1] for i in range(len(others))] if is_last else self.find(others)
        return self.sort(found)

    def sort(self, families: Iterable[Items]) -> list[Items]:
        """Return families, that of the most images first, of equals that of the lowest number."""
        n_images = self._table.n_images
        return sorted(families, key=lambda items: (-int(n_images[items].sum()), int(items[0])))

    def _fit(self, items: Items) -> Palette:
        """Return a palette for some images."""
        return fit_quickly(self._table.merge(items[:FIT_ITEMS]), self._options).palette

    def _measure(self, items: Items, palette: Palette) -> NDArray[np.float64]:
        """Return the error of some images with a palette."""
        return self._meter.measure(self._table, items, palette)

    def _make_family(self, items: Items, palette: Palette, errors: NDArray[np.float64]) -> _Family:
        """Return a family."""
        return _Family(items, palette, errors, self._meter.find_middle(palette))

    # --- Part.

    def _part(self, items: Items) -> list[_Family]:
        """Return families, each of which meets the target or is one image."""
        found, waiting, n_left = [], [items], len(items)
        while waiting:
            self._listen(Event("gather", len(items) - n_left, len(items), "images"))
            members = waiting.pop()
            core = self._find_core(members)
            if core is None or 2 * len(core.items) < len(members):
                waiting += self._halve(members)
                continue
            found.append(core)
            n_left -= len(core.items)
            others = members[~np.isin(members, core.items)]
            waiting += [others] if len(others) else []
        return found

    def _find_core(self, members: Items) -> _Family | None:
        """Return the largest family found among images by who is served, None if there is none."""
        best, chosen = None, members
        for _ in range(_CORE_STEPS):
            palette = self._fit(chosen)
            errors = self._measure(members, palette)
            served = members[errors <= self._limit]
            is_chosen = np.isin(members, chosen)
            holds = bool((errors[is_chosen] <= self._limit).all()) or len(chosen) == 1
            if holds and (best is None or len(chosen) > len(best.items)):
                best = self._make_family(chosen, palette, errors[is_chosen])
            if len(served) == 0 or np.array_equal(served, chosen):
                break
            chosen = served
        return best

    def _halve(self, members: Items) -> list[Items]:
        """Return images in two parts, by which of two palettes serves them better."""
        sample = members[:FIT_ITEMS]
        errors = self._measure(sample, self._fit(members))
        first = self._fit(sample[[errors.argmax()]])
        second = self._fit(sample[[self._measure(sample, first).argmax()]])
        for _ in range(_HALF_STEPS):
            prefers = self._prefer(sample, first, second)
            if prefers.all() or not prefers.any():
                break
            first, second = self._fit(sample[prefers]), self._fit(sample[~prefers])
        prefers = self._prefer(members, first, second)
        if prefers.all() or not prefers.any():  # as alike as can be
            prefers = np.arange(len(members)) < len(members) // 2
        return [members[prefers], members[~prefers]]

    def _prefer(self, items: Items, first: Palette, second: Palette) -> NDArray[np.bool_]:
        """Return which images the first palette serves as well as the second, or better."""
        return self._measure(items, first) <= self._measure(items, second)

    # --- Merge.

    def _merge(self, families: list[_Family]) -> list[_Family]:
        """Return families, those joined that one palette serves."""
        pool = _Pool(families)
        pairs = [pair for number in range(len(families)) for pair in self._list_pairs(pool, number)]
        heapq.heapify(pairs)
        tried: set[tuple[int, int]] = set()
        while pairs:
            _, a, b = heapq.heappop(pairs)
            if a not in pool.alive or b not in pool.alive or (a, b) in tried:
                continue
            tried.add((a, b))
            self._listen(Event("merge", len(tried), len(tried) + len(pairs), "pairs"))
            joined = self._join(pool.alive[a], pool.alive[b])
            if joined is not None:
                pool.put(a, None)
                pool.put(b, None)
                for pair in self._list_pairs(pool, pool.add(joined)):
                    heapq.heappush(pairs, pair)
        return list(pool.alive.values())

    def _list_pairs(self, pool: _Pool, number: int) -> list[tuple[float, int, int]]:
        """Return the families that one is likeliest to be joined with, and how unlike they are."""
        one = pool.alive[number]
        found = [
            (self._compare(one, pool.alive[other]), min(number, other), max(number, other))
            for other in pool.find_near(number)
        ]
        return sorted(found)[:_TRIES]

    def _compare(self, one: _Family, other: _Family) -> float:
        """Return how badly two palettes serve each other's colours."""
        return max(
            self._meter.compare(one.palette, other.palette),
            self._meter.compare(other.palette, one.palette),
        )

    def _join(self, one: _Family, other: _Family) -> _Family | None:
        """Return two families as one, None where no palette serves them."""
        items = np.union1d(one.items, other.items)
        palette = self._fit(items)
        hardest = np.concatenate([one.hardest[:_HARDEST], other.hardest[:_HARDEST]])
        if (self._measure(hardest, palette) > self._limit).any():
            return None
        errors = self._measure(items, palette)
        if (errors > self._limit).any():
            return None
        return self._make_family(items, palette, errors)

    # --- Absorb.

    def _absorb(self, families: list[_Family]) -> list[_Family]:
        """Return families, the images of small ones put into others where they find a place."""
        for _ in range(_SWEEPS):
            pool = _Pool(families)
            small, n_moved = _list_small(pool), 0
            for n_done, number in enumerate(small, 1):
                n_moved += self._spread(pool, number)
                self._listen(Event("absorb", n_done, len(small), "families"))
            families = list(pool.alive.values())
            if n_moved == 0:
                break
            families = self._merge(families)
        return families

    def _spread(self, pool: _Pool, number: int) -> int:
        """Put images of a family into others, where they find a place; return how many."""
        family, near = pool.alive[number], pool.find_near(number)
        grown: dict[int, _Family] = {}
        stays = []
        for item in family.items:
            found = {each: grown.get(each, pool.alive[each]) for each in near}
            place = self._find_place(found, item)
            grown |= place or {}
            stays += [item] if place is None else []
        left = self._shrink(family, np.array(stays, dtype=np.int64))
        if stays and left is None:
            return 0
        pool.alive |= grown
        pool.put(number, left)
        return len(family.items) - len(stays)

    def _shrink(self, family: _Family, items: Items) -> _Family | None:
        """Return a family with some of its images alone, None where that does not serve them."""
        if len(items) in (0, len(family.items)):
            return family if len(items) else None
        palette = self._fit(items)
        errors = self._measure(items, palette)
        is_served = (errors <= self._limit).all() or len(items) == 1
        return self._make_family(items, palette, errors) if is_served else None

    def _find_place(
        self, families: dict[int, _Family], item: np.int64
    ) -> dict[int, _Family] | None:
        """Return the family that can take in an image, with it; None where there is none."""
        one = np.array([item])
        errors = {n: self._measure(one, each.palette) for n, each in families.items()}
        for number in sorted(families, key=lambda n: float(errors[n][0]))[:_PLACES]:
            guest = self._make_family(one, families[number].palette, errors[number])
            joined = self._take_in(families[number], guest)
            if joined is not None:
                return {number: joined}
        return None

    def _take_in(self, family: _Family, guest: _Family) -> _Family | None:
        """Return a family with an image that has its palette, None where that does not serve."""
        if len(family.items) < _MANY:
            return self._join(family, guest)
        if guest.errors[0] > self._limit:
            return None
        place = np.searchsorted(family.items, guest.items)
        return replace(
            family,
            items=np.insert(family.items, place, guest.items),
            errors=np.insert(family.errors, place, guest.errors),
        )


def _list_small(pool: _Pool) -> list[int]:
    """Return the numbers of the families of few images, the smallest first."""
    alive = pool.alive
    small = [number for number, each in alive.items() if len(each.items) <= _SMALL]
    return sorted(small, key=lambda number: (len(alive[number].items), alive[number].items[0]))


class _Pool:
    """Families, by number, and how near their mean colours are."""

    def __init__(self, families: Sequence[_Family]) -> None:
        self.alive = dict(enumerate(families))
        # Every family that is added takes the place of two.
        self._middles = np.full((2 * len(families), len(families[0].middle)), np.inf)
        self._n_known = len(families)
        for number, family in self.alive.items():
            self._middles[number] = family.middle

    def add(self, family: _Family) -> int:
        """Add a family, and return its number."""
        self._n_known += 1
        self.put(self._n_known - 1, family)
        return self._n_known - 1

    def put(self, number: int, family: _Family | None) -> None:
        """Put another family in the place of one; None: remove that."""
        if family is None:
            del self.alive[number]
            self._middles[number] = np.inf
        else:
            self.alive[number], self._middles[number] = family, family.middle

    def find_near(self, number: int) -> list[int]:
        """Return the numbers of the families nearest to one, the nearest first."""
        known = self._middles[: self._n_known]
        distances = np.square(known - self.alive[number].middle).sum(axis=1)
        distances[number] = np.inf
        nearest = np.argsort(distances, kind="stable")[:_NEAR]
        return [int(each) for each in nearest if distances[each] < np.inf]
