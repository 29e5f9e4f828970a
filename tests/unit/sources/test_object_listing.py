"""Collections in object stores: found page by page, told by their names, read patiently."""

import io
import multiprocessing
import subprocess
import sys

import numpy as np
import pytest
import range_server
import s3_server
from PIL import Image

import dask_quant as dq
from dask_quant.errors import SourceError, SourceNotFoundError
from dask_quant.sources import file_systems, object_pages, object_ranges
from dask_quant.sources.discover import discover, find_images
from dask_quant.sources.object_listing import match_parts
from dask_quant.sources.remote_file import fetch_bytes

pytestmark = pytest.mark.usefixtures("no_waiting")


@pytest.fixture(params=["s3", "memory", "file"])
def put(request):
    """What puts objects into a store, and the address of a folder above them."""
    url = request.getfixturevalue(f"{request.param}_url")

    def put(*keys):
        for key in keys:
            file_system, path = file_systems.open_file_system(f"{url}/{key}")
            if url.startswith("file:"):
                file_system.makedirs(path.rpartition("/")[0], exist_ok=True)
            file_system.pipe_file(path, b"x")

    return put, url


def find(*sources, **options):
    """Return what is found, as paths below the folders that were named."""
    return [item.below for item in find_images(sources, **options)]


def test_a_folder_of_a_store_is_searched_as_a_folder_on_disk_is(put):
    make, url = put
    make("d/a.png", "d/x/b.JPG", "d/x/y/c.tif", "d/notes.txt", "d/.git/e.png", "d/.hidden.png")
    make("d/s.zarr/zarr.json", "d/s.zarr/c/0.png", "elsewhere.png", "dd/a.png")
    ignored = []
    for source in (f"{url}/d/", f"{url}/d"):
        ignored.clear()
        found = list(find_images([source], on_ignored=ignored.append))
        assert sorted(item.below for item in found) == ["a.png", "s.zarr", "x/b.JPG", "x/y/c.tif"]
        assert sorted(item.path for item in found) == [
            f"{url}/d/{below}" for below in ("a.png", "s.zarr", "x/b.JPG", "x/y/c.tif")
        ]
        names = sorted(path.removeprefix(f"{url}/d/") for path in ignored)
        assert names == [".git", ".hidden.png", "notes.txt"]


def test_patterns_match_as_they_do_on_disk(put):
    make, url = put
    make("d/a.png", "d/x/b.png", "d/x/y/c.png", "d/y/b.jpg", "d/.h/b.png", "d/y/s.zarr/.zarray")
    for pattern, expected in (
        ("*.png", ["a.png"]),
        ("*/b.*", ["x/b.png", "y/b.jpg"]),
        ("**/*.png", ["a.png", "x/b.png", "x/y/c.png"]),
        ("[xy]/*", ["x/b.png", "y/b.jpg", "y/s.zarr"]),
        ("x/**", ["b.png", "y/c.png"]),
        (".h/*.pn?", ["b.png"]),
        (".[h]/b.png", [".h/b.png"]),
        ("**/.h/*", [".h/b.png"]),
    ):
        assert sorted(find(f"{url}/d/{pattern}")) == expected, pattern


def test_size_and_version_come_with_the_listing(bucket):
    bucket.put("d/a.png", data=b"12345")
    bucket.forget()
    (item,) = find_images(["s3://scans/d/"])
    assert [method for method, _ in bucket.requests] == ["GET"]
    etag = bucket.client.head_object(Bucket="scans", Key="d/a.png")["ETag"]
    assert (item.size, item.modified) == (5, etag)
    assert (item.identity, item.folder, item.named) == ("s3://scans/d/a.png", "/scans/d", False)
    (named,) = find_images(["s3://scans/d/a.png"])
    assert (named.size, named.named) == (None, True)


def test_only_addresses_that_do_not_tell_are_asked_for(bucket, tmp_path):
    bucket.put("d/a.png", "d/plain", "e/b.png")
    bucket.forget()
    lines = ["s3://scans/d/a.png", "s3://scans/none.png", "s3://scans/s.zarr", "https://h/x"]
    (tmp_path / "list.txt").write_text("\n".join(lines))
    assert find(f"@{tmp_path / 'list.txt'}") == ["a.png", "none.png", "s.zarr", "x"]
    assert bucket.requests == []
    (tmp_path / "list.txt").write_text("s3://scans/d/plain\ns3://scans/e\ns3://scans/d/\n")
    assert find(f"@{tmp_path / 'list.txt'}") == ["plain", "b.png", "a.png"]
    (item,) = find_images(["s3://scans/d/plain"])
    assert (item.size, item.named) == (1, True)
    with pytest.raises(SourceNotFoundError, match="s3://scans/none: there is no such file"):
        find("s3://scans/none")


def test_what_is_there_under_its_literal_name_is_no_pattern(bucket):
    bucket.put("a[1].png", "a1.png", "b*.png", "b2.png")
    assert find("s3://scans/a[1].png", "s3://scans/b*.png") == ["a[1].png", "b*.png"]
    assert find("s3://scans/a[1]*.png") == ["a1.png"]


def test_pages_are_asked_for_one_by_one_and_folders_not_entered_are_skipped(bucket, monkeypatch):
    keys = [f"d/{folder}/{name:03}.png" for folder in "abc" for name in range(20)]
    chunks = [f"d/b.zarr/c/{number:03}" for number in range(100)]
    bucket.put(*keys, *chunks, "d/b.zarr/zarr.json", "d/b.zarr0.png")
    monkeypatch.setattr(object_pages, "_PAGE_KEYS", 10)
    bucket.forget()
    images = find_images(["s3://scans/d/"])
    assert next(images).below == "a/000.png"
    assert len(bucket.requests) == 1
    found = [item.below for item in images]
    expected = sorted([*keys[1:], "d/b.zarr", "d/b.zarr0.png"])
    assert sorted(found) == [key.removeprefix("d/") for key in expected]
    assert len(bucket.requests) <= 8  # 62 entries: the chunks in the store take one page


def test_nothing_of_a_listing_is_kept(bucket):
    bucket.put(*(f"d/{name}/{name}.png" for name in range(5)))
    assert len(find("s3://scans/d/")) == len(find("s3://scans/d/*/*")) == 5
    file_system, _ = file_systems.open_file_system("s3://scans/d/")
    assert not file_system.dircache


def test_a_folder_takes_the_place_of_its_name_beside_others(bucket, tmp_path):
    bucket.put("p/x/1.png", "r/x/1.png")
    (tmp_path / "q").mkdir()
    (tmp_path / "q" / "1.png").touch()
    sources = ["s3://scans/p/x/", "s3://scans/r/x/*.png", tmp_path / "q"]
    found = discover(sources)
    assert [str(item.relative) for item in found.inputs] == ["p/x/1.png", "r/x/1.png", "q/1.png"]
    assert [str(item.relative) for item in discover(["s3://scans/"]).inputs] == [
        *("p/x/1.png", "r/x/1.png")
    ]


def test_no_place_leaves_the_output_folder(bucket):
    bucket.put("d/a//b.png", "d/x/../../c.png", "d/./e.png")
    for item in discover(["s3://scans/d/"]).inputs:
        assert ".." not in item.relative.parts
        assert not item.relative.is_absolute()
        assert fetch_bytes(item.path) == b"x"


def test_outputs_below_a_source_are_left_out_and_counted_once(put):
    make, url = put
    make("d/a.png", "d/out/a.png", "d/out/x/b.png", "d/outer/c.png")
    for source in (f"{url}/d/", f"{url}/d/**/*"):
        ignored = []
        found = find(source, exclude=f"{url}/d/out/", on_ignored=ignored.append)
        assert sorted(found) == ["a.png", "outer/c.png"]
        assert ignored == [f"{url}/d/out"]
    assert sorted(find(f"{url}/d/out/", exclude=f"{url}/d/")) == ["a.png", "x/b.png"]


def test_a_folder_without_an_image_is_an_error_with_a_count(put):
    make, url = put
    make("d/notes.txt")
    for source in ("d/", "d/*"):
        with pytest.raises(SourceNotFoundError, match="1 other files were ignored"):
            find(f"{url}/{source}")
    with pytest.raises(SourceNotFoundError):
        find(f"{url}/none/")


def test_circles_of_links_end(tmp_path):
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "a.png").touch()
    (tmp_path / "d" / "link").symlink_to(tmp_path / "d")
    assert find(f"file://{tmp_path}/d/") == ["a.png"]


@pytest.mark.parametrize("fault", ["500", "503", "slow", "cut", "lost"])
def test_a_store_that_fails_now_and_then_is_asked_again(bucket, fault):
    bucket.put("d/a.png", data=bytes(100_000))
    bucket.forget()
    bucket.misbehave = lambda method, path, times: fault if times < 3 else ""
    (item,) = find_images(["s3://scans/d/"])
    assert fetch_bytes(item.path) == bytes(100_000)
    expected = 1 if fault == "slow" else 4
    assert list(bucket.asked.values()) == [expected, expected]  # of the listing, of the object


@pytest.mark.parametrize(
    ("fault", "said"),
    [("500", "also when asked 5 times"), ("403", "permission denied"), ("404", "no such file")],
)
def test_what_does_not_pass_is_one_line_without_secrets(bucket, monkeypatch, fault, said):
    bucket.put("d/a.png")
    bucket.misbehave = lambda method, path, times: fault
    for url in ("s3://scans/d/a.png", "s3://me:hush@scans/d/a.png"):
        for act in (fetch_bytes, lambda url: find(url.removesuffix("a.png"))):
            with pytest.raises(SourceError) as caught:
                act(url)
            message = str(caught.value)
            assert "\n" not in message
            assert "hush" not in message
            assert s3_server.SECRET not in message
            assert said in message or "hush" in url


def test_an_object_that_is_empty_or_too_large_is_an_error(bucket, monkeypatch):
    bucket.put("a.png", data=b"")
    bucket.put("b.png", data=bytes(1001))
    monkeypatch.setattr(object_ranges, "MAX_WHOLE_BYTES", 1000)
    monkeypatch.setattr("dask_quant.sources.remote_glimpse.MAX_WHOLE_BYTES", 1000)
    with pytest.raises(SourceError, match="the file is empty"):
        fetch_bytes("s3://scans/a.png")
    with pytest.raises(SourceError, match="can only be read as a whole"):
        fetch_bytes("s3://scans/b.png")
    with pytest.raises(SourceNotFoundError, match="there is no such file"):
        fetch_bytes("s3://scans/none.png")


def test_a_file_by_http_is_fetched_by_one_request(monkeypatch):
    with range_server.serve() as server:
        server.files["/a.png"] = bytes(100_000)
        server.files["/b.png"] = b""
        for server.has_ranges in (True, False):
            server.forget()
            assert fetch_bytes(f"{server.url}/a.png") == bytes(100_000)
            assert len(server.requests) == 1
        server.misbehave = lambda times: "cut" if times < 3 else ""
        assert fetch_bytes(f"{server.url}/a.png") == bytes(100_000)
        monkeypatch.setattr("dask_quant.sources.remote_glimpse.MAX_WHOLE_BYTES", 1000)
        with pytest.raises(SourceError, match="can only be read as a whole"):
            fetch_bytes(f"{server.url}/a.png")


def fetch_into(url, sender):
    sender.send(fetch_bytes(url))


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_process_that_was_forked_opens_connections_of_its_own(bucket):
    bucket.put("a.png", data=b"here")
    assert fetch_bytes("s3://scans/a.png") == b"here"
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=fetch_into, args=("s3://scans/a.png", sender))
    child.start()
    assert receiver.poll(30)
    assert receiver.recv() == b"here"
    child.join()


@pytest.mark.parametrize(
    ("path", "pattern", "expected"),
    [
        ("a/b/c.png", "**/c.png", True),
        ("c.png", "**/c.png", True),
        ("a/.b/c.png", "**/c.png", False),
        ("a/b/c.png", "a/**/**/*.png", True),
        ("a/c.png", "*", False),
        ("a.PNG", "*.png", False),
    ],
)
def test_parts_match_parts(path, pattern, expected):
    assert match_parts(path.split("/"), pattern.split("/")) is expected


def test_local_sources_load_nothing_for_stores(tmp_path):
    (tmp_path / "a.png").touch()
    code = (
        "import sys\n"
        "from dask_quant.sources.listing import find_images\n"
        "assert len(list(find_images([sys.argv[1], 's3://bucket/a.png']))) == 2\n"
        "assert 'fsspec' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)


def test_a_folder_of_a_store_becomes_what_its_copy_on_disk_does(bucket, tmp_path, digest_output):
    rng = np.random.default_rng(0)
    for name in ("a.png", "x/b.png", "x/c.png"):
        buffer = io.BytesIO()
        Image.fromarray(rng.integers(0, 256, (8, 9, 3), dtype=np.uint8)).save(buffer, "PNG")
        bucket.put(f"d/{name}", data=buffer.getvalue())
        (tmp_path / "d" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "d" / name).write_bytes(buffer.getvalue())
    there = dq.quantize("s3://scans/d/", tmp_path / "there", n_colors=5)
    here = dq.quantize(tmp_path / "d", tmp_path / "here", n_colors=5)
    assert there.n_images == here.n_images == 3
    for name in ("a.png", "x/b.png", "x/c.png"):
        assert digest_output(tmp_path / "there" / name) == digest_output(tmp_path / "here" / name)
