"""The comparison with other quantizers, in a short form."""

import dataclasses
import json

import machine
import numpy as np
import peer_methods
import peer_results
import peer_tables
import peers
import published_tables
import pytest
import ratios
from PIL import Image

from dask_quant import color_difference, color_spaces
from dask_quant.method_options import METHODS as OUR_METHODS

METHODS = "ours-default,sklearn-1,pillow-mediancut,pillow-mediancut-kmeans"
"""Methods that the dependencies of dask_quant guarantee, and that are quick."""

QUICKEST = "pillow-mediancut,pillow-octree"
"""Methods that take no time."""


@pytest.fixture
def folder(tmp_path, photo):
    """A folder of two small pictures, pieces of a photograph."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    Image.fromarray(photo[100:140, 200:260]).save(folder / "a.png")
    Image.fromarray(photo[300:348, 400:432]).save(folder / "b.png")
    (folder / "notes.txt").write_text("no image")
    return folder


@pytest.fixture
def run(folder, tmp_path):
    """Run the benchmark on that folder; return its exit code, records and Markdown."""

    def run(*more, k="4", methods=QUICKEST):
        results, markdown = tmp_path / "r.jsonl", tmp_path / "r.md"
        given = ["--data", folder, "-k", k, "--methods", methods, *more]
        given += ["--results", results, "--markdown", markdown]
        code = peers.main([str(argument) for argument in given])
        lines = [json.loads(line) for line in results.read_text("utf-8").splitlines()]
        text = markdown.read_text("utf-8") if markdown.exists() else ""
        return code, lines[1:], text

    return run


@pytest.fixture
def written(monkeypatch):
    """Copies of what methods wrote: pixels of input and file, and bytes, in order."""
    found = []

    def keep(pixels, path):
        with Image.open(path) as image:
            assert image.format == "PNG"
            assert image.mode in ("P", "1", "L")
            found.append((pixels, np.asarray(image.convert("RGB")), path.stat().st_size))
        return measure_file(pixels, path)

    measure_file = peers.measure_file
    monkeypatch.setattr(peers, "measure_file", keep)
    return found


def test_peers_benchmark_knows_our_other_methods(run):
    names = ["ours-default", *(f"ours-{name}" for name in OUR_METHODS[1:]), "ours-random"]
    code, records, text = run(methods=",".join(names), k="6")
    assert code == 0
    assert [record["method"] for record in records] == names * 2
    for begin in (0, len(names)):
        least, *others = (record["mse"] for record in records[begin : begin + len(names)])
        assert all(least <= mse for mse in others)
        assert len({least, *others}) > 4
    assert "dask_quant, init random, n_init 10, max_iter 10, tol 1.0" in text


def test_peers_benchmark_measures_the_files_that_methods_write(run, written):
    code, records, _ = run(methods=METHODS)
    full = [found for found in written if found[0].shape[:2] in ((40, 60), (48, 32))]
    assert code == 0
    assert [record["image"] for record in records] == ["a.png"] * 4 + ["b.png"] * 4
    assert [record["method"] for record in records] == METHODS.split(",") * 2
    warm_ups = len(METHODS.split(","))  # each once, on a piece that is all of the first picture
    assert len(full) == len(records) + warm_ups
    measured = {(r["mse"], r["n_used"], r["file_bytes"]) for r in records}
    by_oracle = set()
    for pixels, painted, n_bytes in full:
        pairs = zip(pixels.ravel().tolist(), painted.ravel().tolist(), strict=True)
        total = sum((one - other) ** 2 for one, other in pairs)
        n_used = len(set(map(tuple, painted.reshape(-1, 3).tolist())))
        by_oracle.add((total / (pixels.size / 3), n_used, n_bytes))
    assert measured <= by_oracle
    assert all(0 < record["n_used"] <= 4 and record["seconds"] > 0 for record in records)


def test_peers_benchmark_goes_on_where_it_stopped(run, monkeypatch):
    _, first, _ = run("--images", "1")
    _, both, _ = run()
    assert {record["image"] for record in first} == {"a.png"}
    assert both[: len(first)] == first
    assert len(both) == 2 * len(first)
    monkeypatch.setattr(peers, "run_method", lambda *given: pytest.fail("measured again"))
    assert run()[1] == both


def test_peers_benchmark_cuts_off_a_torn_line(run, tmp_path):
    _, records, _ = run()
    results = tmp_path / "r.jsonl"
    torn = results.read_bytes()[:-9]
    results.write_bytes(torn)
    assert not torn.endswith(b"\n")
    _, again, _ = run()
    assert again[:-1] == records[:-1]
    assert again[-1]["mse"] == records[-1]["mse"]


def test_peers_benchmark_refuses_results_of_another(run, tmp_path, capsys):
    run("--images", "1")
    results = tmp_path / "r.jsonl"
    first, *others = results.read_text("utf-8").splitlines()
    for name in peer_results.BINDING:
        changed = json.loads(first)
        changed[name] = {"python": "2.7"} if name == "versions" else "another"
        content = "\n".join([json.dumps(changed), *others]) + "\n"
        results.write_text(content, encoding="utf-8")
        code, _, _ = run()
        assert code == 2
        assert f"of another {name};" in capsys.readouterr().err
        assert results.read_text("utf-8") == content


def test_peers_benchmark_leaves_a_file_that_is_no_results(tmp_path):
    other = tmp_path / "r.jsonl"
    other.write_bytes(b"\x89PNG\r\n\x1a\nnot a line of ours")
    header = peer_results.describe_run(())
    with pytest.raises(ValueError, match="no file of results"):
        peer_results.open_results(other, header)
    assert other.read_bytes() == b"\x89PNG\r\n\x1a\nnot a line of ours"


def test_peers_benchmark_lists_what_fails_and_what_is_not_installed(run, monkeypatch):
    def fail(task):
        raise ZeroDivisionError("too\nfew")

    fails = dataclasses.replace(peer_methods.METHODS[1], name="fails", run=fail, needs="python")
    lacks = dataclasses.replace(fails, name="lacks", needs="dask_quant", lacks=lambda: "no such")
    methods = (fails, lacks, *(m for m in peer_methods.METHODS if m.name == "ours-default"))
    monkeypatch.setattr(peers, "METHODS", methods)
    monkeypatch.setattr(peer_tables, "KINDS", {method.name: method for method in methods})
    code, records, text = run(methods="fails,lacks,ours-default")
    assert code == 0
    assert [record["method"] for record in records] == ["fails", "ours-default"] * 2
    assert records[0]["error"] == "ZeroDivisionError: too few"
    assert records[0]["mse"] is None
    assert "fails failed on 2 of 2; on a.png: ZeroDivisionError: too few" in text
    assert "| lacks | did not run: no such |" in text


def test_peers_benchmark_says_that_a_package_is_not_installed():
    method = next(method for method in peer_methods.METHODS if method.name == "faiss")
    assert method.find_missing({"faiss": None}) == "faiss is not installed"
    assert method.find_missing({"faiss": "1.8"}) is None


@pytest.mark.parametrize("method", peer_methods.METHODS, ids=lambda method: method.name)
def test_every_method_writes_no_more_colors_than_asked_for(method, photo):
    missing = method.find_missing(machine.find_versions())
    if missing is not None:
        pytest.skip(missing)
    figures = peers.run_method(method, photo[100:164, 200:264], 8)
    assert "error" not in figures
    assert 2 <= figures["n_used"] <= 8
    assert 0 < figures["mse"] < measure_spread(photo[100:164, 200:264])


def measure_spread(pixels):
    """Return the error of one colour, the mean, summed over channels."""
    return pixels.reshape(-1, 3).astype(float).var(axis=0).sum()


def test_peers_benchmark_compares_over_the_images_that_both_have_done(run, monkeypatch):
    slow = [dataclasses.replace(m, is_slow=m.name == "sklearn-1") for m in peer_methods.METHODS]
    monkeypatch.setattr(peers, "METHODS", tuple(slow))
    _, records, text = run("--slow-images", "1", methods="ours-default,sklearn-1")
    mse = {(record["image"], record["method"]): record["mse"] for record in records}
    assert set(mse) == {
        ("a.png", "ours-default"),
        ("b.png", "ours-default"),
        ("a.png", "sklearn-1"),
    }
    ours, theirs = mse["a.png", "ours-default"], mse["a.png", "sklearn-1"]
    expected = f"| sklearn-1 | 1 | {theirs:,.3f} | {ours:,.3f} | {theirs / ours:,.4f} |"
    assert expected in text
    pooled = np.mean([ours, mse["b.png", "ours-default"]])
    assert f"| ours-default | 2 | {pooled:,.3f} |" in text


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["--methods", "best"], "Got the method 'best'"),
        (["--skip", "worst"], "Got the method 'worst'"),
        (["-k", "1"], "Got 1 colours"),
        (["-k", "257"], "Got 257 colours"),
        (["--data", "tiny"], "Got folders named tiny, tiny"),
        (["--data", "empty"], "Found no image"),
    ],
)
def test_peers_benchmark_refuses_in_one_line(folder, tmp_path, capsys, given, words):
    (tmp_path / "empty").mkdir()
    given = [str(tmp_path / item) if item in ("tiny", "empty") else item for item in given]
    results = tmp_path / "r.jsonl"
    assert peers.main(["--data", str(folder), "--results", str(results), *given]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
    assert not results.exists()


def test_images_are_spread_evenly(tmp_path):
    paths = [tmp_path / str(index) for index in range(9)]
    assert peers.spread_evenly(paths, 3) == (paths[0], paths[4], paths[8])
    assert peers.spread_evenly(paths, 1) == (paths[0],)
    assert peers.spread_evenly(paths, 99) == tuple(paths)
    assert peers.spread_evenly(paths, None) == tuple(paths)


def test_published_figures_stand_beside_ours(run, tmp_path):
    (tmp_path / published_tables.CQ100_FILE).write_text("image,MC_4,OCT_4\na,1e9,0.5\nz,1,1\n")
    _, records, text = run("--published", tmp_path, methods="ours-default")
    ours = next(record["mse"] for record in records if record["method"] == "ours-default")
    assert f"| median cut | 4 | 1 | 1 | 1,000,000,000.000 | {ours:,.3f} |" in text
    assert "Not better than median cut: none." in text
    assert f"| octree | 4 | 1 | 0 | 0.500 | {ours:,.3f} |" in text
    assert f"Not better than octree: a at k=4 (0.500 published, {ours:,.3f} ours)." in text
    assert f"There is no {published_tables.SKLEARN_FILE}." in text


def test_published_psnr_is_that_of_mse_summed_over_channels(tmp_path):
    rows = [{"image": "kodim01", "psnr_4": "24.68908", "mse_sum3ch_4": "662.664"}]
    assert published_tables.find_psnr_difference(rows) < 1e-4
    rows[0]["mse_sum3ch_4"] = "220.888"  # the mean over channels
    assert published_tables.find_psnr_difference(rows) > 4


def test_published_kodak_tables_are_paired_by_image_and_k(tmp_path):
    record = peer_results.Record("kodak", "kodim01.png", 16, "ours-default", 100.0)
    columns = "image,psnr_4,psnr_16,mse_sum3ch_4,mse_sum3ch_16\n"
    figures = "kodim01,24.68908,32.853646,662.664,101.12\n"
    (tmp_path / published_tables.SKLEARN_FILE).write_text(columns + figures)
    (tmp_path / published_tables.BASELINES_FILE).write_text(
        "method,n_colors,psnr_mean\nfast,16,24.838\nfast,32,27.424\n"
    )
    text = "\n".join(published_tables.render_published(tmp_path, [record]))
    assert "| scikit-learn's k-means | 16 | 1 | 1 | 32.854 | 32.902 |" in text
    assert "| 16 | fast | 24.838 | 32.902 | 1 |" in text
    assert "| 32 |" not in text


def test_ratios_benchmark_compares_both_at_their_errors(capsys):
    code = ratios.main(["--side", "64", "-k", "4", "--repeats", "1", "--dask-ml-repeats", "0"])
    text = capsys.readouterr().out
    assert (code == 1) == ("(missed)" in text)
    assert "64 x 64 pixels, k=4" in text
    assert text.splitlines()[-1].startswith("| scikit-learn KMeans(n_init=1) |")


def test_ratios_benchmark_tells_a_missed_aim():
    row = ratios.Row("x", 50, (99.0, 100.0, 900.0), (2.0, 2.0, 9.0), 10.0, 10.0)
    assert row.ratio == 50
    assert row.met is True
    assert dataclasses.replace(row, aim=51).met is False
    assert dataclasses.replace(row, our_mse=10.1).met is False
    assert "50.0 | at least 51 (missed)" in ratios.format_row(dataclasses.replace(row, aim=51))


def test_ratios_benchmark_cuts_the_middle_and_enlarges(tmp_path, photo):
    path = tmp_path / "a.png"
    Image.fromarray(photo[:40, :60]).save(path)
    assert (ratios.cut_picture(path, 20) == photo[10:30, 20:40]).all()
    assert ratios.cut_picture(path, 50).shape == (50, 50, 3)


def test_a_lookup_table_is_not_kept_from_one_run_to_the_next(photo):
    pixels = photo[:32, :32]
    peer_methods.quantize_ours(pixels, 4, "default")
    assert peer_methods.tables._tables
    peer_methods.forget_tables()
    assert not peer_methods.tables._tables


def test_files_of_others_with_less_error_are_named():
    def record(image, method, mse):
        return peer_results.Record("kodak", image, 16, method, mse)

    records = [
        record("a.png", "ours-default", 100.0),
        record("a.png", "ours-best", 99.0),
        record("a.png", "faiss", 99.5),
        record("a.png", "gdal", 100.0),
        record("b.png", "faiss", 1.0),  # nothing of ours beside it
        peer_results.Record("kodak", "a.png", 16, "dask-ml", error="ValueError: no"),
    ]
    lines = peer_tables.count_lower(records)
    assert lines[0].startswith("Of 2 files of other programs 1 have a lower error")
    assert lines[2:] == ["- kodak/a.png, k=16: faiss 99.5000, ours-default 100.0000", ""]


def test_differences_are_those_of_every_pixel(photo):
    rng = np.random.default_rng(0)
    pixels = photo[:30, :40]
    other = np.clip(pixels + rng.integers(-9, 10, pixels.shape), 0, 255).astype(np.uint8)
    lab = [color_spaces.lab_from_srgb(each.reshape(-1, 3)) for each in (pixels, other)]
    expected = color_difference.ciede2000(*lab).mean()
    assert peers.measure_delta_e(pixels, other) == pytest.approx(expected, rel=1e-12)
    assert peers.measure_delta_e(pixels, pixels) == 0


def test_peers_benchmark_measures_our_spaces(run):
    names = "ours-default,ours-linear,ours-oklab,ours-lab"
    _, records, text = run(methods=names, k="8")
    for begin in (0, 4):
        ours = records[begin]
        lab = records[begin + 3]
        assert [record["method"] for record in records[begin : begin + 4]] == names.split(",")
        assert lab["delta_e"] < ours["delta_e"]
        assert lab["mse"] > ours["mse"]
    mean = np.mean([records[3]["delta_e"], records[7]["delta_e"]])
    assert f" {mean:,.3f} |" in text
