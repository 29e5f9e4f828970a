import dataclasses

import pytest

from dask_quant.chunking import plan_image
from dask_quant.dither_plan import plan_dithered
from dask_quant.fit_options import DITHERS
from dask_quant.options import ChunkOptions

SHAPE = (20_000, 30_000)
GIVEN = {
    "read_unit": (1024, 1024),
    "write_unit": (4096, 4096),
    "label_bytes_per_pixel": 1,
    "n_threads": 4,
}


def test_without_dithering_the_plan_is_that_of_relabelling():
    assert plan_dithered(SHAPE, dither="none", **GIVEN) == plan_image(SHAPE, **GIVEN)


@pytest.mark.parametrize("n_processes", [0, 4])
@pytest.mark.parametrize("dither", ["bayer", "blue-noise"])
def test_ordered_dithering_holds_pixels_beside_labels(dither, n_processes):
    given = GIVEN | {"n_processes": n_processes}
    plain, plan = plan_image(SHAPE, **given), plan_dithered(SHAPE, dither=dither, **given)
    assert plan.projected_bytes >= plain.projected_bytes
    held = plan_image(SHAPE, **given | {"label_bytes_per_pixel": 4}).projected_bytes
    same = {"projected_bytes": plain.projected_bytes}
    assert plan.projected_bytes == held
    assert dataclasses.replace(plan, **same) == plain


def test_error_diffusion_goes_by_bands_of_whole_rows_that_the_source_reads_once():
    plan = plan_dithered(SHAPE, dither="floyd-steinberg", **GIVEN)
    assert plan.relabel_chunks == (1024, 30_000)
    assert plan.label_bytes == 20_000 * 30_000
    # Two bands ahead for each of four threads, and labels until there is a row of shards.
    at_least = 3 * 8 * 1024 * 30_000 + 4096 * 30_000
    assert at_least < plan.projected_bytes < 4 * at_least


@pytest.mark.parametrize("name", ["n_threads", "n_processes"])
def test_what_error_diffusion_takes_grows_with_what_it_is_given(name):
    few, many = (
        plan_dithered(SHAPE, dither="floyd-steinberg", **GIVEN | {name: n}).projected_bytes
        for n in (2, 8)
    )
    assert few < many


def test_asked_for_rows_are_kept_and_smaller_bands_take_less():
    small, large = (
        plan_dithered(SHAPE, dither="floyd-steinberg", requested=ChunkOptions(rows=rows), **GIVEN)
        for rows in (1000, 4000)
    )
    assert small.relabel_chunks == (1024, 30_000)
    assert large.relabel_chunks == (4096, 30_000)
    assert small.projected_bytes < large.projected_bytes


@pytest.mark.parametrize("dither", DITHERS)
def test_a_file_that_is_decoded_whole_is_held_meanwhile(dither):
    plain, whole = (
        plan_dithered(SHAPE, dither=dither, **GIVEN, decodes_whole=decodes).projected_bytes
        for decodes in (False, True)
    )
    assert whole - plain > 20_000 * 30_000 * 3
