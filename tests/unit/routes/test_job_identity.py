import json
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from dask_quant.alpha_options import as_alpha
from dask_quant.events import ignore_event
from dask_quant.fit_options import FitOptions, Target
from dask_quant.histogram import ColorHistogram
from dask_quant.options import ChunkOptions, ClusterOptions, Page, RunOptions
from dask_quant.palette import Palette
from dask_quant.routes.common import Job
from dask_quant.routes.job_identity import describe_job
from dask_quant.saved_counts import SavedCounts

OTHER_FITS = {
    "n_colors": {"n_colors": 17},
    "method": {"method": "median-cut"},
    "engine": {"engine": "scalable"},
    "effort": {"effort": "best"},
    "seed": {"seed": 1},
    "n_init": {"n_init": 3},
    "max_iter": {"max_iter": 9},
    "tol": {"tol": np.float32(0.5)},
    "space": {"space": "lab"},
    "init": {"init": np.arange(48).reshape(16, 3)},
    "weight_power": {"weight_power": 0.5},
    "keep": {"keep": "#ff0000"},
    "recolor": {"recolor": [(i, 0, 0) for i in range(16)]},
    "refit": {"refit": "#ff0000,#00ff00"},
    "target": {"target": Target("psnr", 35.123456789)},
}
"""For each field of the options of a fit, options in which it is another."""


def make_job(fit=None, **given):
    run = given.pop("run", RunOptions())
    return Job("quantize", fit or FitOptions(), run, ignore_event, **given)


def test_every_field_of_a_fit_is_told():
    assert set(OTHER_FITS) == {each.name for each in fields(FitOptions)}


@pytest.mark.parametrize("name", [each.name for each in fields(FitOptions)])
def test_each_field_of_a_fit_changes_the_description(name):
    before, after = (
        describe_job(make_job(FitOptions(**given))) for given in ({}, OTHER_FITS[name])
    )
    assert before[name] != json.loads(json.dumps(after))[name]
    assert {key for key in before if before[key] != after[key]} == {name}


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("dither", {"dither": "bayer"}),
        ("format", {"suffix": ".gif"}),
        ("format", {"packs": True}),
        ("alpha", {"alpha": as_alpha("cut")}),
        ("alpha", {"alpha": as_alpha("matte:#102030")}),
        ("per_image", {"per_image": True}),
        ("frames", {"run": RunOptions(frames="all")}),
        ("page", {"run": RunOptions(page=Page(number=1))}),
        ("level", {"run": RunOptions(page=Page(level=1))}),
        ("palette", {"palette": Palette([[1, 2, 3], [1, 2, 4]])}),
        ("outline", {"outline": Path("lines.png")}),
        ("save_histogram", {"saved": SavedCounts(out=Path("counts.npz"))}),
        (
            "histogram",
            {"saved": SavedCounts(ColorHistogram(np.array([7], np.uint32), np.array([1])))},
        ),
    ],
)
def test_what_shows_in_what_is_written_changes_the_description(name, given):
    before, after = describe_job(make_job()), describe_job(make_job(**given))
    json.dumps(after)
    assert {key for key in before if before[key] != after[key]} == {name}


def test_the_command_changes_the_description():
    job = make_job()
    other = describe_job(replace(job, command="apply"))
    assert other == describe_job(job) | {"command": "apply"}


def test_alpha_and_order_of_a_palette_are_told():
    palettes = [[[1, 2, 3, 128], [4, 5, 6, 255]], [[1, 2, 3, 129], [4, 5, 6, 255]]]
    palettes.append(palettes[0][::-1])
    told = [tuple(describe_job(make_job(palette=Palette(p)))["palette"]) for p in palettes]
    assert len(set(told)) == 3
    assert told[0] == ("#01020380", "#040506")


def test_counts_are_told_by_colors_and_numbers():
    def digest(codes, counts):
        earlier = ColorHistogram(np.array(codes, np.uint32), np.array(counts, np.int64))
        return describe_job(make_job(saved=SavedCounts(earlier)))["histogram"]

    assert digest([1, 2], [3, 4]) == digest([1, 2], [3, 4])
    assert len({digest([1, 2], [3, 4]), digest([1, 2], [4, 3]), digest([1, 3], [3, 4])}) == 3
    assert digest([], []) is None


def test_how_a_job_is_carried_out_is_left_out():
    ways = [
        RunOptions(resume=True, retry_quarantined=True),
        RunOptions(overwrite=True),
        RunOptions(chunks=ChunkOptions(rows=7)),
        RunOptions(cluster=ClusterOptions(workers=2, memory_limit_bytes=10**9)),
        RunOptions(persist=Path("a.zarr")),
    ]
    plain = describe_job(make_job())
    assert all(describe_job(make_job(run=run)) == plain for run in ways)
