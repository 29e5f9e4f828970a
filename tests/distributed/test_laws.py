"""Same input, options and seed: the same bytes on every scheduler, and no pixel in the client."""

import os
from contextlib import nullcontext
from pathlib import Path

import dask
import dask.array as da
import numpy as np
import pytest
import zarr
from distributed import get_task_stream
from PIL import Image

import dask_quant as dq
from dask_quant.options import ClusterOptions

LOCAL = ("threads", "synchronous")


def run_everywhere(client, tmp_path, name, job):
    """Run ``job(out, cluster)`` on every scheduler; return what was written and reported."""
    done = {}
    for scheduler in (*LOCAL, "cluster"):
        out = tmp_path / scheduler / name
        on_cluster = scheduler == "cluster"
        cluster = None if on_cluster else ClusterOptions(scheduler=scheduler)
        with get_task_stream(client) as stream:
            report = job(out, cluster)
        used = {task["worker"] for task in stream.data}
        assert bool(used) == on_cluster, scheduler
        assert list(out.parent.iterdir()) == [out], scheduler
        done[scheduler] = (out, report)
    return done


def assert_all_equal(done, read_tree, figures):
    """Check that every scheduler wrote and reported the same."""
    trees = {scheduler: read_tree(out) for scheduler, (out, _) in done.items()}
    said = {scheduler: figures(report) for scheduler, (_, report) in done.items()}
    assert trees["threads"]
    for scheduler in ("synchronous", "cluster"):
        assert trees[scheduler] == trees["threads"], scheduler
        assert said[scheduler] == said["threads"], scheduler


@pytest.mark.parametrize("name", ["out.png", "out.zarr", "out.tif", "out.gif", "out.npz"])
def test_one_image_in_chunks_is_the_same_everywhere(
    name, client, store, picture, tmp_path, read_tree, figures
):
    done = run_everywhere(
        client,
        tmp_path,
        name,
        lambda out, cluster: dq.quantize(
            store, out, n_colors=9, chunks=(1000, 600), cluster=cluster
        ),
    )
    assert_all_equal(done, read_tree, figures)
    out, report = done["cluster"]
    labels = read_labels(out)
    painted = report.palette.colors[labels]
    error = np.square(painted.astype(np.int32) - picture).sum(dtype=np.int64) / labels.size
    assert report.mse == pytest.approx(error, rel=1e-12)


@pytest.mark.parametrize(
    ("name", "dither"),
    [
        ("out.png", "blue-noise"),
        ("out.zarr", "floyd-steinberg"),
        ("out.tif", "bayer"),
        ("out.tif", "floyd-steinberg"),
    ],
)
def test_one_dithered_image_in_chunks_is_the_same_everywhere(
    name, dither, client, store, picture, tmp_path, read_tree, figures
):
    options = {"n_colors": 9, "n_init": 1, "dither": dither}
    done = run_everywhere(
        client,
        tmp_path,
        name,
        lambda out, cluster: dq.quantize(
            store, out, chunks=(1000, 600), cluster=cluster, **options
        ),
    )
    assert_all_equal(done, read_tree, figures)
    whole = dq.quantize(picture, tmp_path / name, cluster=ClusterOptions(scheduler="synchronous"),
                        chunks=picture.shape[:2], **options)  # fmt: skip
    assert read_tree(tmp_path / name) == read_tree(done["cluster"][0])
    assert whole.palette.counts.tolist() == done["cluster"][1].palette.counts.tolist()
    assert whole.mse == done["cluster"][1].mse


def test_an_outline_is_the_same_everywhere(client, store, tmp_path, read_tree, figures):
    palette = np.array([[0, 0, 0], [90, 90, 90], [180, 180, 180], [250, 250, 250]])
    done = run_everywhere(
        client,
        tmp_path,
        "out.png",
        lambda out, cluster: dq.apply_palette(
            *(store, out, palette),
            outline=tmp_path / f"{out.parent.name}-lines.zarr",
            chunks=(1000, 600),
            cluster=cluster,
        ),
    )
    assert_all_equal(done, read_tree, figures)
    drawn = [read_tree(tmp_path / f"{scheduler}-lines.zarr") for scheduler in done]
    assert drawn[0]
    assert drawn == drawn[:1] * 3


def test_chunks_do_not_show_and_neither_does_the_route(client, photo, tmp_path, read_tree, figures):
    Image.fromarray(photo).save(tmp_path / "photo.png")
    outs = {}
    with dask.config.set(scheduler="threads"):  # no client is active here
        outs["memory"] = dq.quantize(tmp_path / "photo.png", tmp_path / "memory.png", n_colors=9)
    for rows, columns in ((150, 170), (33, 170), (40, 60)):
        out = tmp_path / f"{rows}.png"
        outs[rows] = dq.quantize(tmp_path / "photo.png", out, n_colors=9, chunks=(rows, columns))
    written = {read_tree(tmp_path / f"{name}.png")[""] for name in outs}
    assert len(written) == 1
    first, *others = map(figures, outs.values())
    assert all(other == first for other in others)


@pytest.mark.parametrize("per_image", [False, True])
def test_a_collection_is_the_same_everywhere(
    per_image, client, folder, tmp_path, read_tree, figures
):
    done = run_everywhere(
        client,
        tmp_path,
        "out",
        lambda out, cluster: dq.quantize(
            folder, out, n_colors=7, per_image=per_image, cluster=cluster
        ),
    )
    assert_all_equal(done, read_tree, figures)
    out, report = done["cluster"]
    sources = sorted(path.relative_to(folder) for path in folder.rglob("*.png"))
    assert sorted(path.relative_to(out) for path in out.rglob("*.png")) == sources
    assert report.n_images == len(sources)
    palettes = {read_colors(path) for path in out.rglob("*.png")}
    assert len(palettes) == (len(sources) if per_image else 1)


@pytest.mark.parametrize("name", ["colors.gpl", "colors.hex", "colors.json"])
def test_a_palette_file_is_the_same_everywhere(name, client, store, tmp_path, read_tree, figures):
    done = run_everywhere(
        client,
        tmp_path,
        name,
        lambda out, cluster: dq.make_palette(
            store, out, n_colors=9, chunks=(1000, 600), cluster=cluster
        ),
    )
    assert_all_equal(done, read_tree, figures)


@pytest.mark.parametrize("chunks", [(64, 64, 3), (50, 170, 3), (150, 11, 3)])
def test_counts_are_the_same_everywhere_and_exact(chunks, client, photo):
    colors, counts = np.unique(photo.reshape(-1, 3), axis=0, return_counts=True)
    image = da.from_array(photo, chunks=chunks)
    for scheduler in (*LOCAL, "cluster"):
        on_cluster = scheduler == "cluster"
        setting = nullcontext() if on_cluster else dask.config.set(scheduler=scheduler)
        with get_task_stream(client) as stream, setting:
            found = dq.count_colors(image)
        assert bool(stream.data) == on_cluster, scheduler
        np.testing.assert_array_equal(found.colors, colors)
        np.testing.assert_array_equal(found.counts, counts)


def test_the_active_client_is_used_without_being_told(client, photo, tmp_path):
    Image.fromarray(photo).save(tmp_path / "photo.png")
    for job in (
        lambda: dq.count_colors(tmp_path / "photo.png"),
        lambda: dq.fit_palette(photo, n_colors=4),
        lambda: dq.quantize(tmp_path / "photo.png", tmp_path / "out.png", n_colors=4),
        lambda: dq.write(photo[..., 0] % 4, tmp_path / "4.png", palette=dq.Palette(photo[0, :4])),
    ):
        with get_task_stream(client) as stream:
            job()
        assert stream.data
    assert client.status == "running"


def test_relative_paths_start_where_the_client_is(client, photo, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert str(tmp_path) not in client.run(os.getcwd).values()
    Path("in").mkdir()
    for name in ("a", "b"):
        Image.fromarray(photo).save(f"in/{name}.png")
    Path("in/broken.png").write_bytes(b"no image")
    os.link("in/a.png", b"in/caf\xe9.png")
    store = zarr.create_array("photo.zarr", shape=photo.shape, chunks=(64, 64, 3), dtype=np.uint8)
    store[:] = photo
    dq.quantize("in/a.png", "1.png", n_colors=4, persist="persisted.zarr")
    dq.quantize("photo.zarr", "2.png", n_colors=4)
    dq.quantize("photo.zarr", "3.zarr", n_colors=4)
    shared = dq.quantize("in", "4", n_colors=4)
    dq.quantize(["in/a.png", "in/b.png"], "5", n_colors=4, per_image=True)
    dq.make_palette("photo.zarr", "6.gpl", n_colors=4)
    expected = Path("1.png").read_bytes()
    for path in ("2.png", "4/a.png", "4/b.png", "5/a.png", "5/b.png"):
        assert Path(path).read_bytes() == expected, path
    np.testing.assert_array_equal(zarr.open_array("3.zarr/0", mode="r")[:], read_png("1.png"))
    assert shared.outputs == ("4/a.png", "4/b.png", os.fsdecode(b"4/caf\xe9.png"))
    (set_aside,) = shared.quarantined
    assert set_aside.path == "in/broken.png"
    assert "in/broken.png" in set_aside.reason
    assert str(tmp_path) not in set_aside.reason
    assert sorted(path.name for path in Path().iterdir()) == [
        "1.png", "2.png", "3.zarr", "4", "5", "6.gpl", "in", "persisted.zarr", "photo.zarr"
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["out.png", "out.zarr", "out.tif"])
def test_no_pixel_passes_through_the_client(name, client, tmp_path, monkeypatch):
    pixels = np.random.default_rng(3).integers(0, 4, (2000, 1000, 1), dtype=np.uint8)
    pixels = np.concatenate([60 * pixels, 20 * pixels, 255 - pixels], axis=2)
    store = tmp_path / "big.zarr"
    zarr.create_array(store, shape=pixels.shape, chunks=(100, 1000, 3), dtype=np.uint8)[:] = pixels
    before = sum_sent(client)

    def forbid(self, *args):
        raise AssertionError("the client's process reads pixels")

    monkeypatch.setattr(zarr.Array, "__getitem__", forbid)
    dq.quantize(store, tmp_path / name, n_colors=3, chunks=(100, 1000))
    monkeypatch.undo()
    sent = sum_sent(client) - before
    assert 0 < sent < pixels.nbytes / 100
    labels = read_labels(tmp_path / name)
    assert labels.shape == pixels.shape[:2]
    assert len(np.unique(labels)) == 3


def sum_sent(client):
    """Bytes of results that left any worker so far, for another worker or for the client."""

    def count_sent(dask_worker):
        return dask_worker.transfer_outgoing_bytes_total

    return sum(client.run(count_sent).values())


def read_labels(path):
    """The labels of any output."""
    if path.suffix == ".zarr":
        return zarr.open_array(path / "0", mode="r")[:]
    return np.load(path)["labels"] if path.suffix == ".npz" else read_png(path)


def read_png(path):
    """The labels of an indexed picture."""
    with Image.open(path) as image:
        assert image.mode == "P"
        return np.asarray(image)


def read_colors(path):
    """The palette of an indexed PNG."""
    with Image.open(path) as image:
        return bytes(image.getpalette())
