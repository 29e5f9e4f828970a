"""Outlines of written labels: no chunks, scheduler or route show; the source is read once."""

from collections import Counter

import dask.array as da
import numpy as np
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

import dask_quant as dq
from dask_quant import execute
from dask_quant.options import ClusterOptions

HEIGHT, WIDTH = 70, 70

KINDS = [(".png", ".png"), (".png", ".zarr"), (".zarr", ".png"), (".zarr", ".zarr")]
"""Suffixes of labels and of their outline."""


@pytest.fixture(scope="module")
def picture(photo):
    return photo[200 : 200 + HEIGHT, 300 : 300 + WIDTH].copy()


@pytest.fixture(scope="module")
def palettes(picture):
    """By size; PNG of them has 1, 2, 4 and 8 bits a pixel."""
    return {n: dq.fit_palette(picture, n, n_init=1, max_iter=2) for n in (2, 3, 9, 40)}


@st.composite
def cuts(draw, size):
    """Chunk sizes that sum to ``size``."""
    edges = sorted({0, size} | draw(st.sets(st.integers(1, size - 1), max_size=8)))
    return tuple(np.diff(edges).tolist())


def find_by_numpy(labels):
    borders = np.zeros(labels.shape, dtype=bool)
    borders[:, :-1] |= labels[:, :-1] != labels[:, 1:]
    borders[:-1] |= labels[:-1] != labels[1:]
    return borders


def read_labels(path):
    if path.suffix == ".zarr":
        return zarr.open_group(path, mode="r")["0"][...]
    with Image.open(path) as image:
        assert image.mode == "P"
        return np.asarray(image)


def assert_outline(outline, labels):
    """Compare an outline, read by others, with the labels that it is drawn of."""
    np.testing.assert_array_equal(read_labels(outline), find_by_numpy(read_labels(labels)))
    if outline.suffix == ".png":
        with Image.open(outline) as image:
            assert image.getpalette() == [255, 255, 255, 0, 0, 0]
        assert outline.read_bytes()[24] == 1  # bits per pixel


@pytest.mark.parametrize(("labels", "outline"), KINDS)
@settings(max_examples=4, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    chunks=st.tuples(cuts(HEIGHT), cuts(WIDTH)),
    asked=st.none() | st.tuples(st.integers(1, 80), st.integers(1, 80)),
    scheduler=st.sampled_from(["threads", "synchronous"]),
    wave=st.sampled_from([1, 7, 2048]),
    n_colors=st.sampled_from([2, 3, 9, 40]),
)
def test_chunks_scheduler_and_waves_do_not_show(
    tmp_path_factory, picture, palettes, small_units, digest_output, labels, outline, chunks,
    asked, scheduler, wave, n_colors,
):  # fmt: skip
    folder, palette = tmp_path_factory.mktemp("same"), palettes[n_colors]
    whole, cut = folder / f"whole-lines{outline}", folder / f"cut-lines{outline}"
    expected = dq.apply_palette(picture, folder / f"whole{labels}", palette, outline=whole)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(execute, "MAX_TASKS_PER_GRAPH", wave)
        report = dq.apply_palette(
            da.from_array(picture, chunks=(*chunks, 3)),
            folder / f"cut{labels}",
            palette,
            outline=cut,
            chunks=asked,
            cluster=ClusterOptions(scheduler=scheduler),
        )
    assert digest_output(cut) == digest_output(whole)
    assert_outline(cut, folder / f"cut{labels}")
    assert report.outputs == (str(folder / f"cut{labels}"), str(cut))
    assert report.output_bytes == expected.output_bytes


@pytest.mark.parametrize(("labels", "outline"), KINDS)
def test_every_route_draws_the_same(
    tmp_path, picture, palettes, small_units, digest_output, labels, outline
):
    file, store = tmp_path / "a.png", tmp_path / "a.zarr"
    Image.fromarray(picture).save(file)
    zarr.create_array(store, data=picture, chunks=(16, 24, 3))
    routes = {
        "file": (file, {}),
        "file in chunks": (file, {"chunks": (13, 31)}),
        "store in chunks": (store, {"chunks": (1, 70)}),
        "NumPy in chunks": (picture, {"chunks": (70, 1)}),
        "persisted": (file, {"persist": tmp_path / "p.zarr"}),
    }
    digests = set()
    for name, (source, options) in routes.items():
        out, lines = tmp_path / f"out {name}{labels}", tmp_path / f"lines {name}{outline}"
        report = dq.apply_palette(source, out, palettes[9], outline=lines, **options)
        assert "outline" in report.seconds
        assert_outline(lines, out)
        digests.add(digest_output(lines))
    assert len(digests) == 1


@pytest.mark.parametrize(("labels", "outline"), KINDS)
def test_the_source_is_not_read_again(tmp_path, picture, palettes, small_units, labels, outline):
    read = Counter()

    def count(block, block_info=None):
        read["outlined" if drawing else "plain"] += 1
        return block

    image = da.from_array(picture, chunks=(40, 70, 3)).map_blocks(
        count, dtype=np.uint8, meta=np.empty((0, 0, 0), dtype=np.uint8)
    )
    for drawing in (False, True):
        lines = tmp_path / f"lines{outline}" if drawing else None
        dq.apply_palette(image, tmp_path / f"{drawing}{labels}", palettes[3], outline=lines)
    assert read["outlined"] == read["plain"] > 0
    assert_outline(tmp_path / f"lines{outline}", tmp_path / f"True{labels}")


def test_sixteen_bit_labels_are_outlined(tmp_path, picture, small_units):
    lines = tmp_path / "lines.png"
    dq.quantize(picture, tmp_path / "o.zarr", n_colors=300, effort="fast", outline=lines)
    assert read_labels(tmp_path / "o.zarr").dtype == np.uint16
    assert_outline(lines, tmp_path / "o.zarr")
