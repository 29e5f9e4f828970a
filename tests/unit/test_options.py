from pathlib import Path

import numpy as np
import pytest

from dask_quant.errors import OptionError
from dask_quant.fit_options import FitOptions
from dask_quant.option_texts import parse_adapt, parse_chunks, parse_k_list
from dask_quant.options import (
    ChunkOptions,
    ClusterOptions,
    RunOptions,
    as_chunks,
    as_path,
    format_bytes,
    parse_bytes,
)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("800", 800),
        ("1b", 1),
        ("1.5GB", 1_500_000_000),
        (" 2 kB ", 2000),
        ("2KiB", 2048),
        ("3mib", 3 * 2**20),
        ("4G", 4 * 10**9),
        ("0.5TiB", 2**39),
    ],
)
def test_sizes_are_parsed(text, size):
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["", "0", "-1GB", "GB", "1 XB", "1e9", "0.1", "1,5GB", "nan"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(OptionError, match="memory size"):
        parse_bytes(text)


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (10**15, "1000.0 TB"), (2 * 10**9, "2.0 GB")],
)
def test_sizes_are_shown_in_decimal_units(size, text):
    assert format_bytes(size) == text


@pytest.mark.parametrize(
    "wrong",
    [
        {"n_colors": 0},
        {"n_colors": -3},
        {"n_colors": 65_537},
        {"n_colors": 4.0},
        {"n_colors": "4"},
        {"n_colors": None},
        {"seed": None},
        {"engine": "scikit"},
        {"seed": -1},
        {"seed": 2**63},
        {"seed": 0.5},
        {"n_init": 0},
        {"max_iter": 0},
        {"max_iter": 10.0},
        {"tol": -0.1},
        {"tol": float("nan")},
        {"tol": "small"},
        {"engine": "dask-ml", "n_init": 2},
        {"engine": "dask-ml", "effort": "best"},
        {"engine": "scalable", "effort": "fast"},
    ],
)
def test_fit_options_out_of_range_are_refused(wrong):
    with pytest.raises(OptionError, match=r"^Got "):
        FitOptions(**wrong)


@pytest.mark.parametrize(
    "right",
    [
        {"n_colors": 1},
        {"n_colors": 65_536, "seed": 2**63 - 1, "n_init": 1, "max_iter": 1, "tol": 0.0},
        {"engine": "dask-ml", "n_init": 1},
        {"engine": "scalable", "n_init": 2, "max_iter": 1, "tol": 0.0, "effort": "default"},
    ],
)
def test_fit_options_at_their_limits_are_taken(right):
    options = FitOptions(**right)
    assert all(getattr(options, name) == value for name, value in right.items())


def test_numpy_integers_become_plain_ones():
    options = FitOptions(n_colors=np.int64(4), seed=np.uint8(3), n_init=np.int32(2))
    assert [type(v) for v in (options.n_colors, options.seed, options.n_init)] == [int] * 3
    assert type(ChunkOptions(rows=np.int64(5)).rows) is int


def test_cluster_options_that_contradict_are_refused(tmp_path):
    remote = {"scheduler": "tcp://127.0.0.1:1"}
    tls = {name: tmp_path / "x.pem" for name in ("tls_ca_file", "tls_cert", "tls_key")}
    for wrong in (
        {"workers": 0},
        {"workers": 1.5},
        {"workers": "2"},
        {"memory_limit_bytes": "1.5GB"},
        {"scheduler": 8786},
        {"scheduler_file": 8786},
        remote | {"workers": 2},
        {"adapt": (0, 0)},
        {"adapt": (3, 2)},
        {"adapt": (-1, 2)},
        {"adapt": (0, 1.5)},
        {"adapt": (1,)},
        {"adapt": 4},
        {"adapt": "04"},
        {"adapt": (0, 4), "workers": 2},
        {"adapt": (0, 4), "scheduler": "threads"},
        {"adapt": (0, 4), "scheduler_file": tmp_path / "s.json"},
        remote | {"adapt": (0, 4)},
        remote | {"memory_limit_bytes": 10**9},
        remote | {"scheduler_file": tmp_path / "s.json"},
        tls,
        remote | {"tls_cert": tmp_path / "x.pem"},
    ):
        with pytest.raises(OptionError):
            ClusterOptions(**wrong)
    assert ClusterOptions(**remote, **tls).tls_key == tmp_path / "x.pem"


def test_a_range_of_workers_starts_a_cluster():
    options = ClusterOptions(adapt=[np.int64(0), 4])
    assert options.adapt == (0, 4)
    assert (options.starts_cluster, options.most_workers) == (True, 4)
    assert (ClusterOptions().starts_cluster, ClusterOptions().most_workers) == (False, 0)
    assert ClusterOptions(workers=1).starts_cluster


def test_a_scheduler_that_others_scale_is_said_so():
    with pytest.raises(OptionError, match=r"who started it scales it .* jobs wait for its first"):
        ClusterOptions(scheduler="tcp://127.0.0.1:1", adapt=(0, 4))


@pytest.mark.parametrize("text", ["", "4", ":4", "0:", "0-4", "a:b", "-1:4", "0:4:5"])
def test_what_is_no_range_of_workers_is_refused(text):
    with pytest.raises(OptionError, match="MIN:MAX"):
        parse_adapt(text)


def test_paths_may_be_texts(tmp_path):
    options = ClusterOptions(
        scheduler_file="s.json", tls_ca_file="a.pem", tls_cert="c.pem", tls_key="k.pem"
    )
    assert options.scheduler_file == Path("s.json")
    assert (options.tls_ca_file, options.tls_key) == (Path("a.pem"), Path("k.pem"))
    assert RunOptions(persist=str(tmp_path / "s.zarr")).persist == tmp_path / "s.zarr"
    assert as_path("a", "out") == as_path(Path("a"), "out") == Path("a")
    for wrong in (None, 3, ["a.png"]):
        with pytest.raises(OptionError, match="for out; use a path"):
            as_path(wrong, "out")


@pytest.mark.parametrize(
    ("chunks", "rows", "columns"),
    [
        (None, None, None),
        (512, 512, 512),
        (np.int64(9), 9, 9),
        ((3, 4), 3, 4),
        ([5, None], 5, None),
    ],
)
def test_chunks_are_one_number_or_two(chunks, rows, columns):
    assert as_chunks(chunks) == ChunkOptions(rows=rows, columns=columns)


@pytest.mark.parametrize("chunks", [0, -1, 1.5, (1, 2, 3), (4,), "512", "25", (1.5, 2), {}, (0, 0)])
def test_other_chunks_are_refused(chunks):
    with pytest.raises(OptionError, match=r"^Got "):
        as_chunks(chunks)


def test_chunk_and_run_options(tmp_path):
    assert not ChunkOptions().given
    assert ChunkOptions(rows=3).given
    for wrong in ({"rows": 0}, {"columns": -1}, {"rows": 2.5}):
        with pytest.raises(OptionError):
            ChunkOptions(**wrong)
    with pytest.raises(OptionError, match=r"\.zarr"):
        RunOptions(persist=tmp_path / "store")
    with pytest.raises(OptionError, match="use ClusterOptions"):
        RunOptions(cluster="tcp://127.0.0.1:8786")


@pytest.mark.parametrize("text", ["", "a", "1,2,3", "-5", "1.5", "0", "5,0"])
def test_what_is_no_chunk_shape_is_refused(text):
    with pytest.raises(OptionError):
        parse_chunks(text)


@pytest.mark.parametrize(
    ("text", "numbers"),
    [("16", (16,)), ("2:5", (2, 3, 4, 5)), ("7:7", (7,)), ("5, 2,5", (5, 2)), (" 2 : 3 ", (2, 3))],
)
def test_lists_of_k_are_parsed(text, numbers):
    assert parse_k_list(text) == numbers


@pytest.mark.parametrize(
    "text", ["", "5:2", "0:3", "2:70000", "1,,2", "two", "2-5", "0", "1,70000"]
)
def test_what_is_no_list_of_k_is_refused(text):
    with pytest.raises(OptionError):
        parse_k_list(text)
