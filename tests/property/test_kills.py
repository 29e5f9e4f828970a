"""Law: a job that is killed at any step, and resumed, writes the bytes of one that was not."""

import json
import shutil
import subprocess
import sys
import tarfile
import textwrap

import numpy as np
import pytest
from outputs import list_outputs, read_manifest
from PIL import Image

DRIVER = """
    import json, os, random, shutil, signal, sys
    from pathlib import Path

    import dask_quant as dq
    from dask_quant.collection import counts, kept_lines, run
    from dask_quant.options import ClusterOptions
    from dask_quant.routes import collections, families

    run.MAX_BATCH = 2
    collections.MAX_GROUP = families.MAX_GROUP = 2
    kept_lines.CHECKPOINT_S = -1.0
    counts.CHECKPOINT_S, counts.CHECKPOINT_SHARE = -1.0, float("inf")  # keep all after each task
    NAMES = ("fsync", "replace", "truncate", "ftruncate", "write", "unlink", "mkdir", "rmdir")
    options, n_kills, seed = json.loads(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])


    def quantize(out):
        run_options = {"resume": True, "cluster": ClusterOptions(scheduler="synchronous")}
        dq.quantize(sys.argv[4], out, n_colors=3, n_init=1, **run_options, **options)


    def watch(last):
        # Count the calls that change what is on disk; die at one of them, halfway if it can.
        n = [0]

        def wrap(name, call):
            def step(*arguments, **others):
                n[0] += 1
                if n[0] == last:
                    if name == "write":
                        call(arguments[0], arguments[1][: len(arguments[1]) // 2])
                    os.kill(os.getpid(), signal.SIGKILL)
                return call(*arguments, **others)

            return step

        for name in NAMES:
            setattr(os, name, wrap(name, getattr(os, name)))
        return n


    def attempt(out, last):
        pid = os.fork()
        if pid == 0:
            try:
                n = watch(last)
                quantize(out)
                Path("steps").write_text(str(n[0]))
                os._exit(0)
            except Exception as error:
                print(last, repr(error), file=sys.stderr, flush=True)
            finally:
                os._exit(1)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


    def stamp(out):
        # What changes with every output that is written anew.
        found = (path for path in Path(out).rglob("*.*") if ".dask-quant" not in path.parts)
        stats = {str(path): path.stat() for path in found if path.suffix in (".png", ".tar")}
        return {name: (each.st_ino, each.st_mtime_ns) for name, each in stats.items()}


    quantize("warm")
    assert attempt("whole", 0) == 0
    n_steps = int(Path("steps").read_text())
    rng = random.Random(seed)
    ended = []
    for number, last in enumerate(sorted(rng.sample(range(1, n_steps + 1), n_kills))):
        out = f"out-{number}"
        ended.append(attempt(out, last))
        before = stamp(out)
        again = rng.randrange(1, n_steps)
        if attempt(out, again) != 0:  # killed once more on the way
            ended.append(attempt(out, 0))
        else:
            ended.append(0)
        assert stamp(out).items() >= before.items(), out
    print(json.dumps({"ended": ended, "n_steps": n_steps}))
"""


def make_folder(folder, mode):
    rng = np.random.default_rng(3)
    for name in ("a/0", "a/1", "a/2", "b/3", "b/4", "5"):
        path = folder / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (7, 8, len(mode)), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
    (folder / "a" / "torn.png").write_bytes(b"\x89PNG\r\n")


def make_shards(folder, mode):
    """Write two shards of WebDataset, one with a sample of a torn image and of one that is not."""
    make_folder(folder / "plain", mode)
    whole = folder / "plain" / "5.png"
    for number in range(2):
        with tarfile.open(folder / f"{number}.tar", "w") as shard:
            for path in sorted((folder / "plain").rglob("*.png"))[number::2]:
                shard.add(path, path.name)
                shard.add(__file__, f"{path.stem}.txt")
                if path.stem == "torn":
                    shard.add(whole, "torn.seg.png")


CASES = [
    ("RGB", {}),
    ("RGB", {"per_image": True}),
    ("RGB", {"dither": "floyd-steinberg"}),
    ("RGBA", {}),
    ("RGB", {"group_by": "folder"}),
    ("RGB", {"format": "tar"}),
    ("RGB", {"format": "tar", "per_image": True}),
    ("RGB", {"group_by": "colors", "target_psnr": 12.9}),  # families of 3, 2 and 1
    ("RGB", {"group_by": "colors", "target_psnr": 13.2}),  # one of 3 is tried and parted
    ("RGB", {"group_by": "colors", "target_psnr": 12.9, "format": "tar"}),
]


@pytest.mark.parametrize("seed", range(len(CASES)), ids=map(str, CASES))
def test_a_job_killed_at_any_step_ends_as_one_that_was_not(tmp_path, seed):
    mode, options = CASES[seed]
    packs = "format" in options
    (make_shards if packs else make_folder)(tmp_path / "in", mode)
    source = "in/*.tar" if packs else "in"
    n_kills = 10
    driver = textwrap.dedent(DRIVER)
    done = subprocess.run(
        [sys.executable, "-c", driver, json.dumps(options), str(n_kills), str(seed), source],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["ended"] == [-9, 0] * n_kills, done.stderr
    assert said["n_steps"] > 40
    whole = tmp_path / "whole"
    names, rows = list_outputs(whole), read_manifest(whole)
    assert names == ["0.tar", "1.tar"] if packs else len(names) == 6
    assert len(rows) == (8 if packs else 7)
    assert [row["status"] for row in rows].count("quarantined") == (2 if packs else 1)
    for number in range(n_kills):
        out = tmp_path / f"out-{number}"
        assert list_outputs(out) == names, number
        for name in names:
            assert (out / name).read_bytes() == (whole / name).read_bytes(), (number, name)
        assert read_manifest(out) == rows, number
    shutil.rmtree(tmp_path / "warm")
