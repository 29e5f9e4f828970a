"""Sieved labels: small patches go to their neighbours, and nothing else changes."""

import numpy as np
import pytest
import rasterio
from scipy.ndimage import label as find_patches

import dask_quant as dq
from dask_quant.sinks.sieve import sieve_labels

CROSS = [[0, 1, 0], [1, 1, 1], [0, 1, 0]]


def count_patches(labels, classes):
    """Sizes of all patches of some classes."""
    sizes = []
    for number in classes:
        patches, _ = find_patches(labels == number, CROSS)
        sizes += np.bincount(patches.ravel())[1:].tolist()
    return sizes


def test_small_patches_go_to_their_largest_neighbour():
    labels = np.zeros((6, 9), dtype=np.uint8)
    labels[:, 6:] = 1
    labels[2:4, 2:4] = 2  # four pixels, within class 0
    labels[4:, 7:] = 3  # four pixels, in the corner of class 1
    sieved = sieve_labels(labels, 5, nodata=255)
    expected = np.zeros((6, 9), dtype=np.uint8)
    expected[:, 6:] = 1
    np.testing.assert_array_equal(sieved, expected)
    np.testing.assert_array_equal(sieve_labels(labels, 4, nodata=255), labels)


def test_pixels_without_a_label_stay_and_take_none():
    labels = np.full((5, 5), 255, dtype=np.uint8)
    labels[1, 1] = 3
    labels[3, 2:] = 1
    sieved = sieve_labels(labels, 100, nodata=255)
    np.testing.assert_array_equal(sieved == 255, labels == 255)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_neither_chunks_nor_their_borders_show(tmp_path):
    rng = np.random.default_rng(3)
    samples = rng.normal(0, 1, (70, 90, 2)).cumsum(axis=0).cumsum(axis=1).astype(np.float32)
    samples += rng.normal(0, 20, samples.shape).astype(np.float32)
    samples[10:12, 20:60] = np.nan
    written = []
    for number, chunks in enumerate([None, (16, 31), 8]):
        out = tmp_path / f"{number}.tif"
        report = dq.segment(samples, out, n_clusters=4, sieve=6, chunks=chunks)
        written.append(out.read_bytes())
    assert written[0] == written[1] == written[2]
    with rasterio.open(tmp_path / "0.tif") as file:
        sieved = file.read(1)
    plain = dq.label_classes(samples, report.model).compute()
    np.testing.assert_array_equal(sieved == 255, plain == 255)
    assert min(count_patches(plain, range(4))) < 6 <= min(count_patches(sieved, range(4)))


def test_what_cannot_be_sieved_is_refused(tmp_path):
    samples = np.ones((4, 4, 2), dtype=np.uint8)
    with pytest.raises(dq.OptionError, match=r"write \.tif"):
        dq.segment(samples, tmp_path / "out.zarr", n_clusters=1, sieve=3)
    with pytest.raises(dq.OptionError, match="Got a sieve of -1"):
        dq.segment(samples, tmp_path / "out.tif", n_clusters=1, sieve=-1)
    assert list(tmp_path.iterdir()) == []
