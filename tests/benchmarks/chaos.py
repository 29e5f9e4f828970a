"""Batch jobs that are struck down, resumed, and compared with one that nothing happened to.

    python tests/benchmarks/chaos.py                     # every fault, 300 images: some minutes
    python tests/benchmarks/chaos.py --images 40 --points 2 --only kill,full

Each fault is done to the real command at a moment drawn by ``--seed``: processes are killed,
stopped or starved of disk. That it struck in the middle of the job is shown by the state and the
manifest that it left. Then the same command is run with ``--resume``. It has to end with the very
tree that an undisturbed run makes, byte for byte, without having touched a file that was recorded
as done, and with nothing temporary left. Exit code 1 when any of that does not hold.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from chaos_faults import FAULTS, STATE, TIMEOUT_S, Cluster, Fault, Run
from machine import describe_machine
from PIL import Image

from dask_quant.collection.manifest import read_rows
from dask_quant.sinks.state_folder import MANIFEST_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMAND = (sys.executable, "-m", "dask_quant.faces.cli", "quantize")
"""The command, of the package that this process would import."""

PROGRAMS = ("Python", "NumPy", "Numba", "Pillow", "distributed", "dask_quant")
"""What the results depend on."""

SIDE = 96
"""Rows and columns of an image."""

MODES = {
    "shared": ["-k", "16", "--effort", "fast"],
    "per image": ["-k", "16", "--effort", "fast", "--per-image"],
    "groups": ["-k", "16", "--effort", "fast", "--group-by", "folder"],
    "dithered": ["-k", "16", "--effort", "fast", "--dither", "floyd-steinberg"],
    "families": ["-k", "16", "--effort", "fast", "--group-by", "colors", "--target-psnr", "22"],
}
"""What is asked for, in turn."""


@dataclass(frozen=True)
class Verdict:
    """What came of one fault."""

    mode: str
    """What was asked for."""
    fault: str
    """What happened."""
    n_rows: int
    """Images that were recorded by then."""
    code: int
    """Exit code of the run."""
    seconds: float
    """Seconds that the run took which went on; 0 where there was none."""
    problems: tuple[str, ...]
    """What does not hold."""


def make_images(folder: Path, n: int, seed: int) -> None:
    """Write images of some folders: gradients with noise, each with colours of its own."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    for number in range(n):
        colors = rng.uniform(0, 255, (2, 3))
        mixed = colors[0] * rows[..., None] + colors[1] * columns[..., None] * (1 - rows[..., None])
        pixels = mixed + rng.normal(0, 12, (SIDE, SIDE, 3))
        path = folder / f"{number % 5}" / f"{number:05}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(path)


def digest_tree(out: Path) -> str:
    """Return a digest of names and bytes of all images below a folder."""
    found = hashlib.sha256()
    for path in sorted(out.rglob("*.png")):
        data = path.read_bytes()
        found.update(f"{path.relative_to(out)}\0{len(data)}\0".encode() + data)
    return found.hexdigest()


def list_leftovers(out: Path) -> list[str]:
    """Return what is below an output folder and is no output, manifest or kept state."""
    kept = {"job.json", "lock", "families.jsonl"}
    return [
        str(path.relative_to(out))
        for path in out.rglob("*")
        if path.is_file()
        and path.suffix != ".png"
        and path.name != MANIFEST_NAME
        and not (path.parent == out / STATE and (path.name in kept or "outcome" in path.name))
    ] + [str(path.relative_to(out)) for path in (out / STATE).iterdir() if path.is_dir()]


def note_done(out: Path) -> dict[Path, tuple[int, int]]:
    """Return number and time of every file that the manifest records as written."""
    path = out / MANIFEST_NAME
    rows = read_rows(path) if path.exists() else ()
    files = [out / row.output for row in rows if row.output is not None]
    return {file: (file.stat().st_ino, file.stat().st_mtime_ns) for file in files}


def start(
    source: Path, out: Path, options: list[str], file_bytes: int | None
) -> subprocess.Popen[bytes]:
    """Start the command."""

    def limit() -> None:
        for number in (signal.SIGINT, signal.SIGQUIT):  # a shell's "&" has them ignored
            signal.signal(number, signal.SIG_DFL)
        if file_bytes is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))

    return subprocess.Popen(
        [*COMMAND, str(source), "-o", str(out), "--quiet", *options],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        preexec_fn=limit,  # this process has one thread
    )


def finish(process: subprocess.Popen[bytes]) -> tuple[int, str]:
    """Wait for a run, and return its exit code and what it said."""
    _, said = process.communicate(timeout=TIMEOUT_S)
    return process.returncode, said.decode(errors="replace").strip()


@contextmanager
def small_disk(n_bytes: int) -> Iterator[Path | None]:
    """Yield a folder on a file system of so many bytes; None where that is not allowed."""
    with tempfile.TemporaryDirectory(prefix="small-") as folder:
        mount = ["mount", "-t", "tmpfs", "-o", f"size={n_bytes}", "tmpfs", folder]
        if subprocess.run(mount, capture_output=True, check=False).returncode:
            yield None
            return
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", "-l", folder], check=True)


@dataclass
class Job:
    """A job that faults are done to."""

    mode: str
    """Name of what is asked for."""
    source: Path
    """Its images."""
    n_images: int
    """How many."""
    reference: str
    """Digest of the tree of an undisturbed run."""
    out_bytes: int
    """Bytes of that tree."""
    manifest_bytes: int
    """Bytes of its manifest."""
    seconds: float
    """How long that took."""

    @property
    def options(self) -> list[str]:
        """What is asked for."""
        return MODES[self.mode]


def make_job(mode: str, source: Path, n_images: int, root: Path) -> Job:
    """Run the command undisturbed, twice, and return what it makes."""
    digests = []
    for name in ("warm", "reference"):
        out = root / name
        shutil.rmtree(out, ignore_errors=True)
        begin = time.monotonic()
        code, said = finish(start(source, out, MODES[mode], None))
        assert code == 0, said
        seconds = time.monotonic() - begin
        digests.append(digest_tree(out))
    assert digests[0] == digests[1], "two undisturbed runs differ"
    sizes = [path.stat().st_size for path in out.rglob("*.png")]
    assert len(sizes) == n_images
    n_manifest = (out / MANIFEST_NAME).stat().st_size
    return Job(mode, source, n_images, digests[0], sum(sizes), n_manifest, seconds)


def try_fault(job: Job, fault: Fault, root: Path, rng: random.Random) -> Verdict | None:
    """Do one fault to a job, resume it, and return what came of it; None: it struck too late."""
    with ExitStack() as stack:
        folder: Path | None = root
        if fault.needs_small_disk:
            folder = stack.enter_context(small_disk(int(0.6 * job.out_bytes)))
            if folder is None:
                return Verdict(job.mode, fault.name, 0, 0, 0, ("could not mount a tmpfs",))
        assert folder is not None
        out = folder / "struck"
        shutil.rmtree(out, ignore_errors=True)
        limit = None if fault.file_bytes is None else int(0.6 * job.manifest_bytes)
        cluster = None
        if fault.needs_cluster:
            (root / "cluster").mkdir(exist_ok=True)
            cluster = Cluster.start(root / "cluster")
            stack.callback(cluster.close)
        options = [*job.options, *fault.options, *(cluster.options if cluster else ())]
        process = start(job.source, out, options, limit)
        run = Run(process, out, job.n_images, job.seconds, rng, cluster)
        if not fault.strike(run):
            process.kill()
            finish(process)
            return None
        code, said = finish(process)
        if fault.needs_small_disk:
            subprocess.run(["mount", "-o", "remount,size=1g", str(folder)], check=True)
        return judge(job, fault, run, code, said)


def judge(job: Job, fault: Fault, run: Run, code: int, said: str) -> Verdict | None:
    """Resume a job that was struck, and return what does not hold."""
    out, problems = run.out, []
    n_rows, done = run.count_rows(), note_done(out)
    if code == 0 and 0 not in fault.codes:
        return None  # it was done by then
    if code not in fault.codes:
        problems.append(f"exit code {code}: {said}")
    if "Traceback" in said and code != -signal.SIGKILL:
        problems.append(f"a traceback: {said}")  # of a killed driver, its workers may speak
    seconds = 0.0
    if code != 0:
        if not run.is_begun() or n_rows >= job.n_images:
            return None  # before it began, or at its very end
        begin = time.monotonic()
        again, said = finish(
            start(job.source, out, [*job.options, *fault.options, "--resume"], None)
        )
        seconds = time.monotonic() - begin
        if again != 0:
            problems.append(f"resumed: exit code {again}: {said}")
        if "Traceback" in said:
            problems.append(f"resumed: a traceback: {said}")
    problems += compare(job, out, done)
    return Verdict(job.mode, fault.name, n_rows, code, seconds, tuple(problems))


def compare(job: Job, out: Path, done: dict[Path, tuple[int, int]]) -> list[str]:
    """Return what is not as an undisturbed run makes it."""
    problems = []
    if digest_tree(out) != job.reference:
        problems.append("the tree differs")
    touched = [
        path
        for path, noted in done.items()
        if not path.exists() or (path.stat().st_ino, path.stat().st_mtime_ns) != noted
    ]
    if touched:
        problems.append(
            f"{len(touched)} finished outputs were rewritten, such as {touched[0].name}"
        )
    ids = [row.id for row in read_rows(out / MANIFEST_NAME)]
    if len(ids) != job.n_images or len(set(ids)) != job.n_images:
        problems.append(f"{len(ids)} rows of {len(set(ids))} images in the manifest")
    if left := list_leftovers(out):
        problems.append(f"left: {', '.join(left)}")
    return problems


def strike(job: Job, fault: Fault, root: Path, rng: random.Random) -> Verdict:
    """Do one fault to a job until it strikes in its middle."""
    for _ in range(12):
        verdict = try_fault(job, fault, root, rng)
        if verdict is not None:
            return verdict
    return Verdict(job.mode, fault.name, 0, 0, 0, ("it never struck in the middle of the job",))


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument(
        "--points", type=int, default=10, help="moments at which the driver is killed"
    )
    parser.add_argument("--modes", default=",".join(MODES), help="some of: " + ", ".join(MODES))
    parser.add_argument("--only", default="", help="faults whose names hold one of these words")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Do all faults to all jobs."""
    options = parse_arguments(arguments)
    words = [word for word in options.only.split(",") if word]
    faults = [each for each in FAULTS if not words or any(word in each.name for word in words)]
    rng = random.Random(options.seed)
    verdicts = []
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        root = Path(folder)
        make_images(root / "in", options.images, options.seed)
        for mode in options.modes.split(","):
            job = make_job(mode, root / "in", options.images, root)
            for fault in faults:
                n = options.points if fault.name.startswith("kill -9 at any") else 1
                for _ in range(n):
                    verdicts.append(strike(job, fault, root, rng))
                    if not options.json:
                        print_verdict(verdicts[-1], options.images)
    is_good = not any(verdict.problems for verdict in verdicts)
    if options.json:
        told = [vars(each) for each in verdicts]
        machine = describe_machine(*PROGRAMS)
        print(json.dumps({"machine": machine, "is_good": is_good, "verdicts": told}))
    else:
        print(f"{len(verdicts)} faults, {sum(bool(each.problems) for each in verdicts)} problems")
        print(describe_machine(*PROGRAMS))
    return 0 if is_good else 1


def print_verdict(verdict: Verdict, n_images: int) -> None:
    """Print what came of one fault."""
    recorded = f"{verdict.n_rows} of {n_images} recorded"
    went_on = f"resumed in {verdict.seconds:.1f} s" if verdict.seconds else "went on by itself"
    how = "; ".join(verdict.problems) or "same bytes, nothing rewritten, nothing left"
    print(
        f"{verdict.mode}, {verdict.fault}: {recorded}, exit {verdict.code}, {went_on}: {how}",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
