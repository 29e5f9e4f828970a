from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

from dask_quant.errors import OutputError, OutputExistsError
from dask_quant.palette import Palette
from dask_quant.sinks import store_layout, store_start, zarr_store
from dask_quant.sinks.store_layout import label_chunks, label_shards
from dask_quant.sinks.store_marker import is_our_store
from dask_quant.sinks.store_start import create_label_store, start_store
from dask_quant.sinks.zarr_store import (
    check_store,
    discard_store,
    finish_store,
    keep_block,
    store_block,
)

PALETTE = Palette(np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9]]), np.array([5, 4, 3]))


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    """Cut small images into several chunks and shards."""
    monkeypatch.setattr(store_layout, "CHUNK_SIDE", 16)
    monkeypatch.setattr(store_layout, "SHARD_SIDE", 64)


def make_labels(shape, dtype=np.uint8, n_colors=3):
    return np.random.default_rng(0).integers(0, n_colors, shape).astype(dtype)


def read_tree(folder):
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def write_store(final, labels, palette, *, overwrite):
    temporary = start_store(final, labels.shape, palette, overwrite=overwrite)
    try:
        store_block(temporary, labels, offset=(0, 0))
        return finish_store(temporary, final, overwrite=overwrite)
    finally:
        discard_store(temporary)


def read_labels(path):
    return zarr.open_group(path, mode="r")["0"][:]


side = st.integers(1, 2**31)


@given(shape=st.tuples(side, side))
def test_shards_are_whole_chunks_and_no_chunk_exceeds_the_image(shape):
    chunks, shards = label_chunks(shape), label_shards(shape)
    for size, chunk, shard in zip(shape, chunks, shards, strict=True):
        assert shard % chunk == 0
        assert 1 <= chunk <= size
        assert shard < size + chunk


def test_shapes_of_real_images(monkeypatch):
    monkeypatch.undo()
    assert (label_chunks((9, 5000)), label_shards((9, 5000))) == ((9, 512), (9, 4096))
    assert (label_chunks((768, 512)), label_shards((768, 512))) == ((512, 512), (1024, 512))
    assert label_shards((4095, 4097)) == (4096, 4096)


@pytest.mark.parametrize("shape", [(1, 1), (10, 7), (64, 64), (65, 63), (130, 200), (3, 500)])
@pytest.mark.parametrize("n_colors", [3, 300])
def test_zarr_reads_back_what_was_written(tmp_path, shape, n_colors):
    codes = np.arange(n_colors)
    palette = Palette(np.stack([codes & 255, codes >> 8, codes * 0], axis=1))
    labels = make_labels(shape, palette.label_dtype, n_colors)
    n_bytes = write_store(tmp_path / "a.zarr", labels, palette, overwrite=False)
    again = read_labels(tmp_path / "a.zarr")
    assert again.dtype == palette.label_dtype
    np.testing.assert_array_equal(again, labels)
    assert n_bytes == sum(map(len, read_tree(tmp_path / "a.zarr").values()))
    assert os.listdir(tmp_path) == ["a.zarr"]


def test_the_store_is_as_documented(tmp_path):
    write_store(tmp_path / "a.zarr", make_labels((70, 80)), PALETTE, overwrite=False)
    group = json.loads((tmp_path / "a.zarr" / "zarr.json").read_text())
    assert (group["zarr_format"], group["node_type"]) == (3, "group")
    assert list(group["attributes"]) == ["dask_quant", "ome"]
    assert group["attributes"]["dask_quant"] == {
        "version": 1,
        "palette": ["#010203", "#040506", "#070809"],
        "counts": [5, 4, 3],
    }
    array = json.loads((tmp_path / "a.zarr" / "0" / "zarr.json").read_text())
    assert array["dimension_names"] == ["y", "x"]
    assert array["data_type"] == "uint8"
    assert array["fill_value"] == 0
    (sharding,) = array["codecs"]
    assert sharding["name"] == "sharding_indexed"
    inner = [codec["name"] for codec in sharding["configuration"]["codecs"]]
    assert inner == ["bytes", "zstd", "crc32c"]
    index = [codec["name"] for codec in sharding["configuration"]["index_codecs"]]
    assert index == ["bytes", "crc32c"]


def test_shards_of_zeros_are_written(tmp_path):
    write_store(tmp_path / "a.zarr", np.zeros((100, 70), np.uint8), PALETTE, overwrite=False)
    for name in ("0/0", "0/1", "1/0", "1/1"):
        assert (tmp_path / "a.zarr/0/c" / name).stat().st_size > 16 * 20


def test_bytes_do_not_depend_on_blocks_order_or_repetition(tmp_path):
    labels = make_labels((200, 150))
    write_store(tmp_path / "whole.zarr", labels, PALETTE, overwrite=False)
    expected = read_tree(tmp_path / "whole.zarr")
    create_label_store(tmp_path / "parts.zarr", labels.shape, PALETTE)
    offsets = [(y, x) for y in range(0, 200, 64) for x in range(0, 150, 64)]
    total = 0
    for y, x in [*offsets[::-1], *offsets[:5], offsets[-1]]:
        block = labels[y : y + 64, x : x + 64]
        total += store_block(tmp_path / "parts.zarr", np.asfortranarray(block), offset=(y, x))
    assert read_tree(tmp_path / "parts.zarr") == expected
    create_label_store(tmp_path / "rows.zarr", labels.shape, PALETTE)
    assert store_block(tmp_path / "rows.zarr", labels[:128], offset=(0, 0)) == 128 * 150
    assert store_block(tmp_path / "rows.zarr", labels[128:], offset=(128, 0)) == 72 * 150
    assert read_tree(tmp_path / "rows.zarr") == expected


@pytest.mark.parametrize(
    ("shape", "offset"),
    [
        ((63, 64), (0, 0)),
        ((64, 64), (1, 0)),
        ((64, 32), (0, 32)),
        ((64, 65), (0, 0)),
        ((64, 64), (-64, 0)),
        ((64, 64), (192, 0)),
    ],
)
def test_blocks_that_are_not_whole_shards_are_refused(tmp_path, shape, offset):
    create_label_store(tmp_path / "a", (200, 150), PALETTE)
    with pytest.raises(OutputError, match=r"whole shards|the store takes"):
        store_block(tmp_path / "a", np.zeros(shape, np.uint8), offset=offset)


def test_blocks_without_pixels_write_nothing(tmp_path):
    create_label_store(tmp_path / "a", (200, 150), PALETTE)
    before = read_tree(tmp_path / "a")
    for shape, offset in (((0, 64), (0, 0)), ((64, 0), (64, 0)), ((0, 0), (3, 3))):
        assert store_block(tmp_path / "a", np.zeros(shape, np.uint8), offset=offset) == 0
    assert read_tree(tmp_path / "a") == before


@pytest.mark.parametrize("dtype", [np.uint16, np.int64, np.float32])
def test_labels_of_another_type_are_refused(tmp_path, dtype):
    create_label_store(tmp_path / "a", (10, 10), PALETTE)
    with pytest.raises(OutputError, match="the store takes parts of uint8"):
        store_block(tmp_path / "a", np.zeros((10, 10), dtype), offset=(0, 0))


def test_every_flipped_byte_of_a_shard_is_detected(tmp_path):
    labels = make_labels((40, 40))
    write_store(tmp_path / "a.zarr", labels, PALETTE, overwrite=False)
    shard = tmp_path / "a.zarr" / "0" / "c" / "0" / "0"
    whole = shard.read_bytes()
    for at in range(0, len(whole), 7):
        flipped = bytearray(whole)
        flipped[at] ^= 1
        shard.write_bytes(flipped)
        with pytest.raises(ValueError, match=r"(?i)checksum"):
            read_labels(tmp_path / "a.zarr")


def test_a_store_appears_under_its_name_only_when_it_is_finished(tmp_path):
    final, labels = tmp_path / "new" / "a.zarr", make_labels((100, 20))
    temporary = start_store(final, labels.shape, PALETTE, overwrite=False)
    assert temporary.parent == final.parent
    assert temporary.name.startswith(".a.zarr.")
    assert temporary.name.endswith(".partial")
    store_block(temporary, labels[:64], offset=(0, 0))
    with pytest.raises(OutputError, match=r"Got 1 of 2 shards in .* 1/0 is missing"):
        finish_store(temporary, final, overwrite=False)
    assert not final.exists()
    store_block(temporary, labels[64:], offset=(64, 0))
    finish_store(temporary, final, overwrite=False)
    np.testing.assert_array_equal(read_labels(final), labels)
    assert os.listdir(final.parent) == ["a.zarr"]


def test_what_a_killed_writer_left_does_not_stay(tmp_path):
    temporary = start_store(tmp_path / "a", (10, 10), PALETTE, overwrite=False)
    store_block(temporary, make_labels((10, 10)), offset=(0, 0))
    (temporary / "0" / "c" / "0" / "0.0123abcd.partial").write_bytes(b"half")
    finish_store(temporary, tmp_path / "a", overwrite=False)
    assert sorted(read_tree(tmp_path / "a")) == ["0/c/0/0", "0/zarr.json", "zarr.json"]


def test_discarding_leaves_nothing(tmp_path):
    discard_store(start_store(tmp_path / "a", (10, 10), PALETTE, overwrite=False))
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("has_begun", [True, False])
def test_a_signal_while_a_store_is_started_leaves_nothing(tmp_path, monkeypatch, has_begun):
    """As Ctrl-C does that comes while a thread starts, before or after it has begun."""
    started = []

    class Interrupted(threading.Thread):
        def start(self):
            started.append(self)
            if has_begun:
                super().start()
            raise KeyboardInterrupt

    monkeypatch.setattr(store_start, "Thread", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        start_store(tmp_path / "a.zarr", (5, 5), Palette([[0, 0, 0]]), overwrite=False)
    if not has_begun:  # it does at last
        threading.Thread.start(started[0])
    started[0].join()
    assert list(tmp_path.iterdir()) == []


def test_files_and_folders_are_synced(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(zarr_store, "sync_file", lambda path: synced.append(path.name))
    monkeypatch.setattr(zarr_store, "sync_folder", lambda path: synced.append(path.name))
    write_store(tmp_path / "a", make_labels((10, 10)), PALETTE, overwrite=False)
    temporary = synced[-2]
    assert sorted(synced) == sorted(
        ["0", "0", "c", "0", "zarr.json", "zarr.json", temporary, tmp_path.name]
    )


def test_only_stores_of_ours_are_replaced(tmp_path):
    final = tmp_path / "a.zarr"
    old, new = make_labels((20, 20)), 2 - make_labels((30, 10))
    write_store(final, old, PALETTE, overwrite=False)
    assert is_our_store(final)
    with pytest.raises(OutputExistsError, match="--overwrite"):
        write_store(final, new, PALETTE, overwrite=False)
    np.testing.assert_array_equal(read_labels(final), old)
    write_store(final, new, PALETTE, overwrite=True)
    np.testing.assert_array_equal(read_labels(final), new)
    assert os.listdir(tmp_path) == ["a.zarr"]


def make_plain_folder(path):
    path.mkdir()
    (path / "precious").write_text("1")


def make_empty_folder(path):
    path.mkdir()


def make_file(path):
    path.write_text("1")


def make_foreign_group(path):
    zarr.create_group(path, attributes={"dask_quant_like": {}})


def make_foreign_array(path):
    attributes = {"dask_quant": {"version": 1}}
    zarr.create_array(path, shape=(2,), dtype="u1", attributes=attributes)


def make_broken_metadata(path):
    path.mkdir()
    (path / "zarr.json").write_bytes(b"{\xff")


def make_odd_metadata(path):
    path.mkdir()
    (path / "zarr.json").write_text('{"node_type": "group", "attributes": [1]}')


def make_dangling_link(path):
    path.symlink_to("nowhere")


@pytest.mark.parametrize(
    "make",
    [
        make_plain_folder,
        make_empty_folder,
        make_file,
        make_foreign_group,
        make_foreign_array,
        make_broken_metadata,
        make_odd_metadata,
        make_dangling_link,
    ],
)
def test_what_is_not_ours_is_never_replaced(tmp_path, make):
    final = tmp_path / "a.zarr"
    make(final)
    before = read_tree(tmp_path)
    assert not is_our_store(final)
    with pytest.raises(OutputExistsError):
        check_store(final, overwrite=False)
    with pytest.raises(OutputError, match="not written by dask_quant; choose another name"):
        write_store(final, make_labels((5, 5)), PALETTE, overwrite=True)
    assert read_tree(tmp_path) == before
    assert os.listdir(tmp_path) == ["a.zarr"]


@pytest.mark.parametrize("make", [make_plain_folder, make_file])
def test_what_appears_meanwhile_is_kept(tmp_path, make, monkeypatch):
    final = tmp_path / "a.zarr"
    temporary = start_store(final, (5, 5), PALETTE, overwrite=False)
    store_block(temporary, make_labels((5, 5)), offset=(0, 0))
    make(final)
    before = read_tree(final) if final.is_dir() else final.read_bytes()
    with pytest.raises(OutputExistsError):
        finish_store(temporary, final, overwrite=False)
    monkeypatch.setattr(zarr_store, "check_store", lambda *args, **kwargs: None)
    with pytest.raises(OutputExistsError):  # also when it appears after the check
        finish_store(temporary, final, overwrite=False)
    assert (read_tree(final) if final.is_dir() else final.read_bytes()) == before


def test_a_failed_replacement_puts_the_old_store_back(tmp_path, monkeypatch):
    final, old = tmp_path / "a.zarr", make_labels((20, 20))
    write_store(final, old, PALETTE, overwrite=False)
    rename = os.rename

    def fail_for_new(source, target):
        if Path(target) == final and (Path(source) / "0" / "c" / "0" / "0").stat().st_size < 200:
            raise OSError(5, "Input/output error")
        rename(source, target)

    monkeypatch.setattr(os, "rename", fail_for_new)
    with pytest.raises(OutputError, match="Input/output error"):
        write_store(final, make_labels((2, 2)), PALETTE, overwrite=True)
    np.testing.assert_array_equal(read_labels(final), old)
    assert os.listdir(tmp_path) == ["a.zarr"]


def test_a_symlink_is_replaced_not_its_target(tmp_path):
    target, link = tmp_path / "target.zarr", tmp_path / "link.zarr"
    old, new = make_labels((20, 20)), 2 - make_labels((20, 20))
    write_store(target, old, PALETTE, overwrite=False)
    link.symlink_to(target)
    write_store(link, new, PALETTE, overwrite=True)
    assert not link.is_symlink()
    np.testing.assert_array_equal(read_labels(link), new)
    np.testing.assert_array_equal(read_labels(target), old)


def test_an_image_without_pixels_is_refused(tmp_path):
    with pytest.raises(OutputError, match="at least one pixel"):
        create_label_store(tmp_path / "a", (0, 5), PALETTE)
    assert os.listdir(tmp_path) == []


def test_an_existing_folder_is_not_created_again(tmp_path):
    with pytest.raises(OutputError, match="File exists"):
        create_label_store(tmp_path, (5, 5), PALETTE)


def test_a_store_that_is_gone_is_one_line(tmp_path):
    with pytest.raises(OutputError) as caught:
        store_block(tmp_path / "gone", make_labels((5, 5)), offset=(0, 0))
    assert "\n" not in str(caught.value)


def test_blocks_are_stored_from_several_processes(tmp_path):
    labels = make_labels((200, 150))
    temporary = start_store(tmp_path / "a", labels.shape, PALETTE, overwrite=False)
    np.save(tmp_path / "labels.npy", labels)
    code = (
        "import sys, numpy as np; from pathlib import Path;"
        "from dask_quant.sinks.zarr_store import store_block;"
        "a = np.load(sys.argv[2]); y = int(sys.argv[3]);"
        "store_block(Path(sys.argv[1]), a[y:y + 64], offset=(y, 0))"
    )
    arguments = [sys.executable, "-c", code, str(temporary), str(tmp_path / "labels.npy")]
    running = [subprocess.Popen([*arguments, str(y)]) for y in range(0, 200, 64)]
    assert [process.wait() for process in running] == [0] * 4
    finish_store(temporary, tmp_path / "a", overwrite=False)
    np.testing.assert_array_equal(read_labels(tmp_path / "a"), labels)


@pytest.mark.parametrize("place", [(0, 0), (64, 64), (128, 128)])
@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "index", "gone", "none"])
def test_a_shard_that_is_torn_is_removed_and_written_again(tmp_path, place, damage):
    labels = make_labels((150, 140))
    temporary = start_store(tmp_path / "a.zarr", labels.shape, PALETTE, overwrite=False)
    store_block(temporary, labels, offset=(0, 0))
    before = read_tree(temporary)
    shard = temporary / "0" / "c" / str(place[0] // 64) / str(place[1] // 64)
    data = shard.read_bytes()
    damaged = {
        "cut": data[:-7],
        "flip": data[:20] + bytes([data[20] ^ 4]) + data[21:],
        "empty": b"",
        "index": data[:-3] + bytes([data[-3] ^ 4]) + data[-2:],
        "none": data,
    }
    shard.unlink() if damage == "gone" else shard.write_bytes(damaged[damage])
    part = labels[place[0] : place[0] + 64, place[1] : place[1] + 64]
    is_whole = damage == "none"
    assert keep_block(temporary, place, part.shape) is is_whole
    assert shard.exists() is is_whole
    assert keep_block(temporary, (0, 0), labels.shape) is is_whole
    assert len(read_tree(temporary)) == len(before) - (not is_whole)
    store_block(temporary, part, offset=place)
    assert keep_block(temporary, (0, 0), labels.shape)
    assert read_tree(temporary) == before
