"""Files by their addresses: only what is needed is fetched, and nothing is mixed up."""

import io
import pickle
import warnings

import dask
import fsspec
import numpy as np
import pytest
import range_server
import tifffile
from dask.base import tokenize
from PIL import Image

import dask_quant as dq
from dask_quant.errors import MemoryBudgetError, OptionError, SourceError, SourceNotFoundError
from dask_quant.options import ClusterOptions
from dask_quant.sources import http_ranges, object_ranges, remote_file, remote_glimpse, tiff
from dask_quant.sources.opening import open_image
from dask_quant.sources.remote_file import RemoteFile, forget_files

pytest.importorskip("aiohttp")


@pytest.fixture(autouse=True)
def _fresh(monkeypatch):
    """Nothing is kept from other tests, and nothing is waited for."""
    forget_files()
    for module in (http_ranges, object_ranges):
        monkeypatch.setattr(module, "FIRST_WAIT_S", 0.001)
    yield
    forget_files()


@pytest.fixture
def server():
    with range_server.serve() as served:
        yield served


def make_pixels(shape=(600, 800)):
    """Pixels that deflate poorly, in few colours."""
    rng = np.random.default_rng(0)
    return rng.integers(0, 4, (*shape, 3), dtype=np.uint8) * np.uint8(80)


def make_cog(pixels, levels=3, **options):
    """Bytes of a tiled TIFF with a pyramid, and where it lies."""
    tags = [
        (33550, "d", 3, (10.0, 10.0, 0.0), True),
        (33922, "d", 6, (0.0, 0.0, 0.0, 5e5, 5e6, 0.0), True),
        (34735, "H", 8, [1, 1, 0, 1, 3072, 0, 1, 32633], True),
    ]
    buffer = io.BytesIO()
    options = {"photometric": "rgb", "tile": (64, 64), "compression": "deflate"} | options
    with tifffile.TiffWriter(buffer) as file:
        file.write(pixels, subifds=levels - 1, extratags=tags, **options)
        for level in range(1, levels):
            file.write(pixels[:: 2**level, :: 2**level], subfiletype=1, **options)
    return buffer.getvalue()


def make_png(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def put(server, data, name="/a.tif"):
    """Serve a file; return its address."""
    server.files[name] = data
    return server.url + name


def fail(read, *arguments, **options):
    """Return the message of what `read` raises: one line, of no file system's own."""
    with pytest.raises(SourceError) as caught:
        read(*arguments, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_all_ways_of_reading_give_the_pixels_of_the_file(server, tmp_path):
    pixels = make_pixels()
    url = put(server, make_cog(pixels))
    image = open_image(url, chunks=256)
    assert server.n_bytes <= 2 * remote_glimpse.START_BYTES  # tags alone
    assert np.array_equal(image.compute(scheduler="threads"), pixels)
    assert np.array_equal(tiff.read_tiff(url), pixels)
    part = tiff.find_tiff(url)[100:130, 200:300, 0:3]
    assert np.array_equal(part, pixels[100:130, 200:300])


@pytest.mark.parametrize("chunks", [None, 256])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_jobs_write_what_they_write_of_the_local_file(server, tmp_path, chunks, suffix):
    data = make_cog(make_pixels())
    (tmp_path / "a.tif").write_bytes(data)
    url = put(server, data, "/deep/a.tif")
    options = {"n_colors": 5, "chunks": chunks, "level": 1}
    there = dq.quantize(url, tmp_path / f"there{suffix}", **options)
    here = dq.quantize(tmp_path / "a.tif", tmp_path / f"here{suffix}", **options)
    outputs = [(tmp_path / f"{name}{suffix}").read_bytes() for name in ("there", "here")]
    assert outputs[0] == outputs[1]
    assert there.input_bytes == here.input_bytes == len(data)


def test_the_place_on_the_earth_is_kept(server, tmp_path):
    rasterio = pytest.importorskip("rasterio")
    url = put(server, make_cog(make_pixels()))
    dq.quantize(url, tmp_path / "a.tif", n_colors=5, level=1)
    with rasterio.open(tmp_path / "a.tif") as file:
        assert tuple(file.transform)[:6] == (20, 0, 5e5, 0, -20, 5e6)
        assert file.crs.to_epsg() == 32633


def test_palettes_applications_and_descriptions_take_addresses(server, tmp_path):
    pixels = make_pixels((64, 64))
    url = put(server, make_cog(pixels, levels=1))
    dq.make_palette(url, tmp_path / "a.gpl", n_colors=4)
    palette = dq.read_palette(tmp_path / "a.gpl")
    dq.apply_palette(url, tmp_path / "a.png", palette)
    dq.apply_palette(pixels, tmp_path / "b.png", palette)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    (info,) = dq.describe_images(url)
    assert (info.width, info.height, info.format) == (64, 64, "TIFF")
    assert info.n_unique_colors == len(np.unique(pixels.reshape(-1, 3), axis=0))


def test_pictures_are_compared_by_address(server, tmp_path):
    url = put(server, make_png(make_pixels()), "/pictures/a.png")
    shown = url.replace("//", "//me:secret@")
    comparison = dq.compare(shown, tmp_path / "sheet.png", [2], images=tmp_path / "all")
    assert comparison.source.endswith("/pictures/a.png")
    assert "secret" not in comparison.source
    assert [path.name for path in (tmp_path / "all").iterdir()] == ["a-2.png"]


def test_a_level_of_a_cloud_optimized_file_costs_a_small_share_of_it(server, tmp_path):
    dq.quantize(make_pixels((3000, 4000)), tmp_path / "cog.tif", n_colors=64)
    data = (tmp_path / "cog.tif").read_bytes()
    assert len(data) > 5_000_000
    url = put(server, data)
    dq.quantize(url, tmp_path / "a.png", n_colors=5, level=3)
    assert server.n_bytes < len(data) / 20
    assert len(server.requests) <= 3


def test_a_level_of_any_pyramid_costs_a_small_share_of_it(server, tmp_path):
    data = make_cog(make_pixels((1600, 2000)), levels=4)
    url = put(server, data)
    dq.quantize(url, tmp_path / "a.png", n_colors=5, level=3)
    assert server.n_bytes < len(data) / 10
    assert len(server.requests) <= 8


def test_neighbouring_tiles_come_in_one_request_and_none_twice(server):
    data = make_cog(make_pixels((1024, 1024)), levels=1)
    image = tiff.find_tiff(put(server, data))
    n_before, n_bytes_before = len(server.requests), server.n_bytes
    image[0:1024, 0:1024, 0:3]  # 256 tiles
    assert len(server.requests) - n_before <= 2
    assert server.n_bytes - n_bytes_before <= len(data)


def test_no_more_is_fetched_ahead_than_a_batch(server, monkeypatch):
    data = bytes(100_000) + b"x" * 900_000
    file = RemoteFile.find(put(server, data))
    server.forget()
    parts = file.read((at, 200_000) for at in range(100_000, 900_000, 200_000))
    monkeypatch.setattr(remote_file.split_batches, "__defaults__", (450_000,))
    assert server.requests == []
    assert next(parts) == b"x" * 200_000
    assert server.n_bytes == 400_000


def test_a_file_is_sought_and_read_to_its_end(server):
    data = np.random.default_rng(0).bytes(300_000)
    file = RemoteFile.find(put(server, data))
    with file.open() as opened:
        assert opened.read(10) == data[:10]
        assert opened.seek(-7, io.SEEK_END) == len(data) - 7
        assert opened.read() == data[-7:]
        opened.seek(200_000)
        assert opened.read(70_000) == data[200_000:270_000]
    ranges = [(299_990, 50), (5, 0), (0, 3), (400_000, 9)]
    assert list(file.read(ranges)) == [data[-10:], b"", data[:3], b""]


@pytest.mark.parametrize("fault", ["500", "503", "429", "cut"])
def test_a_server_that_fails_now_and_then_is_asked_again(server, fault):
    pixels = make_pixels()
    url = put(server, make_cog(pixels))
    server.misbehave = lambda times: fault if times < 4 else ""
    assert np.array_equal(open_image(url, chunks=256).compute(scheduler="threads"), pixels)
    assert min(server.asked.values()) == 5


@pytest.mark.parametrize(
    ("fault", "said", "n_requests"),
    [
        ("503", "the server answers 503, also when asked 5 times", 5),
        ("cut", "the connection breaks off, also when asked 5 times", 5),
        ("404", "there is no such file", 1),
        ("410", "there is no such file", 1),
        ("403", "permission denied", 1),
        ("416", "the file is empty", 1),
        ("400", "refused", 1),
    ],
)
def test_what_does_not_pass_is_one_line_without_secrets(server, tmp_path, fault, said, n_requests):
    url = put(server, make_cog(make_pixels()))
    url = url.replace("http://", "http://me:secret@") + "?signature=secret"
    server.misbehave = lambda times: fault
    for read in (open_image, lambda url: dq.quantize(url, tmp_path / "a.png"), dq.describe_images):
        server.forget()
        message = fail(read, url)
        assert said in message
        assert "secret" not in message
        assert "/a.tif?***" in message
        assert len(server.requests) == n_requests
    if fault == "404":
        with pytest.raises(SourceNotFoundError):
            open_image(url)


def test_a_server_that_is_not_there_is_one_line():
    with range_server.serve() as served:
        url = put(served, b"")
    assert "the server cannot be reached" in fail(open_image, url)


def test_passwords_and_signatures_are_sent_and_shown_nowhere(server):
    pixels = make_pixels((64, 64))
    url = put(server, make_cog(pixels, levels=1))
    server.password = "Basic bWU6c2VjcmV0"  # me:secret
    assert "permission denied" in fail(open_image, url)
    url = url.replace("http://", "http://me:secret@") + "?signature=secret"
    image = open_image(url, chunks=16)
    assert "secret" not in repr(sorted(image.dask, key=str)) + repr(tiff.find_tiff(url))
    assert "secret" not in tokenize(tiff.find_tiff(url))
    assert np.array_equal(image.compute(scheduler="synchronous"), pixels)
    (info,) = dq.describe_images(url)
    assert info.path == server.url.replace("http://", "http://***@") + "/a.tif?***"


def test_a_file_that_changes_midway_is_an_error_and_no_mixture(server, tmp_path):
    pixels = make_pixels()
    url = put(server, make_cog(pixels))
    image = open_image(url, chunks=256)
    put(server, make_cog(255 - pixels))  # of another size
    assert "was changed after it was opened" in fail(image.compute, scheduler="synchronous")
    plain = {"compression": None, "levels": 1}
    url = put(server, make_cog(pixels, **plain), "/b.tif")
    image = open_image(url, chunks=256)
    put(server, make_cog(255 - pixels, **plain), "/b.tif")  # of the same size
    assert "was changed after it was opened" in fail(image.compute, scheduler="synchronous")
    # Whoever opens it again has the new one.
    assert np.array_equal(open_image(url).compute(scheduler="synchronous"), 255 - pixels)


def test_without_entity_tags_the_size_tells(server):
    server.tells_version = False
    pixels = make_pixels()
    url = put(server, make_cog(pixels))
    image = open_image(url, chunks=256)
    assert np.array_equal(image.compute(scheduler="synchronous"), pixels)
    put(server, make_cog(pixels, levels=1))
    assert "was changed" in fail(image.compute, scheduler="synchronous")


def test_a_server_without_ranges_sends_the_file_once_if_it_is_small(server, monkeypatch):
    server.has_ranges = False
    pixels = make_pixels()
    data = make_cog(pixels)
    url = put(server, data)
    image = open_image(url, chunks=256)
    assert np.array_equal(image.compute(scheduler="threads"), pixels)
    assert server.n_bytes == len(data)
    forget_files()
    monkeypatch.setattr(remote_glimpse, "MAX_WHOLE_BYTES", len(data) - 1)
    message = fail(open_image, url)
    assert "can only be read as a whole" in message
    assert message.endswith("download it first.")


def test_other_formats_are_fetched_once_as_a_whole_if_they_are_small(server, tmp_path, monkeypatch):
    pixels = make_pixels()
    data = make_png(pixels)
    url = put(server, data, "/a.png?x")
    url = put(server, data, "/a.png")
    (tmp_path / "a.png").write_bytes(data)
    for chunks in (None, 256):
        dq.quantize(url, tmp_path / f"{chunks}.png", n_colors=5, chunks=chunks)
        dq.quantize(tmp_path / "a.png", tmp_path / f"{chunks}-here.png", n_colors=5, chunks=chunks)
        outputs = [(tmp_path / f"{chunks}{end}.png").read_bytes() for end in ("", "-here")]
        assert outputs[0] == outputs[1]
    assert len(data) <= server.n_bytes <= len(data) + 2 * remote_glimpse.START_BYTES
    assert np.array_equal(open_image(url).compute(scheduler="synchronous"), pixels)
    forget_files()
    monkeypatch.setattr(remote_glimpse, "MAX_WHOLE_BYTES", 1000)
    assert "can only be read as a whole" in fail(open_image, url)


def project(source, out):
    """Return the bytes that are planned for a job in chunks."""
    return dq.plan_job(source, out, chunks=256).projected_bytes


def test_what_is_held_as_a_whole_counts_in_the_plan(server, tmp_path):
    data = make_png(make_pixels()) + bytes(50_000_000)
    url = put(server, data, "/a.png")
    (tmp_path / "a.png").write_bytes(data)
    near, far = (project(source, tmp_path / "b.png") for source in (tmp_path / "a.png", url))
    assert far - near == len(data)


def test_what_is_fetched_ahead_counts_in_the_plan(server, tmp_path):
    data = make_cog(make_pixels())
    url = put(server, data)
    (tmp_path / "a.tif").write_bytes(data)
    near, far = (project(source, tmp_path / "b.png") for source in (tmp_path / "a.tif", url))
    assert far >= near + remote_file.BATCH_BYTES
    cluster = ClusterOptions(memory_limit_bytes=far - 1)
    with pytest.raises(MemoryBudgetError):
        dq.quantize(url, tmp_path / "b.png", chunks=256, cluster=cluster)


def test_collections_take_addresses_and_name_outputs_after_their_files(server, tmp_path):
    pixels = make_pixels((64, 64))
    urls = [
        put(server, make_cog(pixels, levels=1), "/one/a.tif") + "?key=secret",
        put(server, make_png(255 - pixels), "/two/a.png"),
        put(server, b"nonsense", "/two/b.png") + "?key=secret",
    ]
    (tmp_path / "list.txt").write_text("\n".join(urls))
    report = dq.quantize(f"@{tmp_path / 'list.txt'}", tmp_path / "out", n_colors=4)
    names = sorted(path.name for path in (tmp_path / "out").rglob("*.png"))
    assert len(names) == report.n_images == 2
    assert all(name.startswith("a") for name in names)
    (left_out,) = report.quarantined
    assert left_out.path == f"{server.url}/two/b.png?***"
    assert "secret" not in left_out.reason


def test_a_persisted_file_is_fetched_once(server, tmp_path):
    url = put(server, make_cog(make_pixels()))
    for number in range(2):
        forget_files()
        server.forget()
        store = tmp_path / "store.zarr"
        dq.quantize(url, tmp_path / f"{number}.png", n_colors=5, persist=store)
    assert server.n_bytes <= 2 * remote_glimpse.START_BYTES  # to see that it is the same
    assert (tmp_path / "0.png").read_bytes() == (tmp_path / "1.png").read_bytes()


def test_a_file_is_small_once_it_is_pickled_and_read_elsewhere(server):
    pixels = make_pixels()
    image = tiff.find_tiff(put(server, make_cog(pixels)))
    data = pickle.dumps(image)
    assert len(data) < 2000
    forget_files()
    tiff._keep_layout.cache_clear()
    again = pickle.loads(data)
    assert np.array_equal(again[0:600, 0:800, 0:3], pixels)


def test_workers_read_for_themselves(server, tmp_path):
    pixels = make_pixels()
    url = put(server, make_cog(pixels))
    image = open_image(url, chunks=256)
    with dask.config.set(scheduler="processes", num_workers=2), warnings.catch_warnings():
        assert np.array_equal(image.compute(), pixels)


def test_levels_that_are_not_there_and_unknown_schemes_say_so(server, monkeypatch):
    assert "'xyz', which is not known" in fail(open_image, "xyz://host/a.tif")
    assert "which is none" in fail(open_image, "http://[half/a.tif")
    with pytest.raises(OptionError, match="has 1, from 0"):
        open_image(put(server, make_cog(make_pixels((64, 64)), levels=1)), level=1)


@pytest.mark.parametrize(("url", "extra"), [("https://h/a.tif", "http"), ("s3://b/a.tif", "s3")])
def test_a_missing_package_is_named_with_the_command(monkeypatch, url, extra):
    from dask_quant.sources import file_systems

    def miss(*_, **__):
        raise ImportError("Install it")

    monkeypatch.setattr(file_systems.fsspec, "url_to_fs", miss)
    file_systems._open.cache_clear()
    message = fail(open_image, url)
    assert message.endswith(f'which needs another package; pip install "dask-quant[{extra}]".')


def test_a_server_without_tls_says_so(server):
    url = put(server, make_cog(make_pixels((64, 64)), levels=1))
    message = fail(open_image, url.replace("http://", "https://"))
    assert "there is no secure connection" in message


def test_a_server_that_sends_another_part_is_not_believed(server):
    server.shift = 1
    message = fail(open_image, put(server, make_cog(make_pixels())))
    assert "another part of it than it was asked for" in message


@pytest.fixture
def objects():
    """Objects in the memory of this process, as fsspec has them."""
    found = fsspec.filesystem("memory")
    yield found
    found.rm("/", recursive=True)


def test_other_stores_of_objects_are_read_in_parts(objects):
    pixels = make_pixels()
    objects.pipe_file("/deep/a.tif", make_cog(pixels))
    image = open_image("memory://deep/a.tif", chunks=256)
    assert np.array_equal(image.compute(scheduler="threads"), pixels)
    objects.pipe_file("/deep/a.tif", make_cog(pixels[:599]))
    assert "was changed" in fail(image.compute, scheduler="synchronous")
    assert "it is a folder" in fail(open_image, "memory://deep")
    objects.pipe_file("/empty.tif", b"")
    assert "the file is empty" in fail(open_image, "memory://empty.tif")


@pytest.mark.parametrize(
    ("error", "said", "n_times"),
    [
        (ConnectionError("gone away"), "gone away, also when asked 5 times", 5),
        (PermissionError("no"), "permission denied", 1),
        (FileNotFoundError("no"), "there is no such file", 1),
        (RuntimeError("no key for https://me:secret@host/?s=secret"), "no key for https://***@", 1),
    ],
)
def test_what_stores_raise_becomes_one_line(objects, monkeypatch, error, said, n_times):
    pixels, calls = make_pixels(), []
    objects.pipe_file("/a.tif", make_cog(pixels))
    image = open_image("memory://a.tif", chunks=256)
    read = type(objects).cat_ranges

    def break_off(self, *arguments, **options):
        calls.append(1)
        if len(calls) <= n_broken:
            raise error
        return read(self, *arguments, **options)

    monkeypatch.setattr(type(objects), "cat_ranges", break_off)
    n_broken = 5
    message = fail(image.compute, scheduler="synchronous")
    assert said in message
    assert "secret" not in message
    assert len(calls) == n_times
    calls.clear()
    n_broken = n_times - 1
    assert np.array_equal(image.compute(scheduler="synchronous"), pixels)


@pytest.fixture(scope="module")
def bucket():
    """An S3 bucket on this machine."""
    pytest.importorskip("s3fs")
    server_module = pytest.importorskip("moto.server")
    boto3 = pytest.importorskip("boto3")
    with pytest.MonkeyPatch.context() as patch:
        server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        server.start()
        host, port = server.get_host_and_port()
        endpoint = f"http://{host}:{port}"
        for name, value in (
            ("AWS_ACCESS_KEY_ID", "me"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("AWS_DEFAULT_REGION", "us-east-1"),
            ("AWS_ENDPOINT_URL", endpoint),
        ):
            patch.setenv(name, value)
        client = boto3.client("s3", endpoint_url=endpoint)
        client.create_bucket(Bucket="scans")
        yield client
        server.stop()


def test_an_object_in_s3_is_read_in_parts(bucket, tmp_path):
    pixels = make_pixels()
    data = make_cog(pixels)
    bucket.put_object(Bucket="scans", Key="deep/a.tif", Body=data)
    url = "s3://scans/deep/a.tif"
    assert np.array_equal(open_image(url, chunks=256).compute(scheduler="threads"), pixels)
    (tmp_path / "a.tif").write_bytes(data)
    for source, out in ((url, "there.tif"), (tmp_path / "a.tif", "here.tif")):
        dq.quantize(source, tmp_path / out, n_colors=5, level=1)
    assert (tmp_path / "there.tif").read_bytes() == (tmp_path / "here.tif").read_bytes()


def test_an_object_that_changes_or_is_not_there_says_so(bucket, tmp_path):
    pixels = make_pixels()
    plain = {"compression": None, "levels": 1}
    bucket.put_object(Bucket="scans", Key="b.tif", Body=make_cog(pixels, **plain))
    image = open_image("s3://scans/b.tif", chunks=256)
    bucket.put_object(Bucket="scans", Key="b.tif", Body=make_cog(255 - pixels, **plain))
    assert "was changed after it was opened" in fail(image.compute, scheduler="synchronous")
    with pytest.raises(SourceNotFoundError, match=r"s3://scans/none\.tif: there is no such file"):
        open_image("s3://scans/none.tif")
    with pytest.raises(SourceNotFoundError, match="there is no such file"):
        open_image("s3://nowhere/none.tif")
