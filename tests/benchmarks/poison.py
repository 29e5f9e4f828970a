"""Decoders that die, hang or take all memory, for files that are called so.

Installed as a `sitecustomize` of the processes that a test starts: see `install_poison`.
"""

from __future__ import annotations

import os
import textwrap
from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    from pathlib import Path

POISON = """
    import os, signal, time
    from PIL import ImageFile

    _load = ImageFile.ImageFile.load


    def load(self):
        name = os.path.basename(getattr(self.fp, "name", "") or "")
        if name.startswith("crash"):
            os.kill(os.getpid(), signal.SIGSEGV)
        elif name.startswith("abort"):
            os.abort()
        elif name.startswith("exit"):
            os._exit(7)
        elif name.startswith("hang"):
            time.sleep(3600)
        elif name.startswith("spin"):
            open(self.fp.name + ".begun", "w").close()
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
            while True:
                pass
        elif name.startswith("greedy"):
            bytearray(40 * 2**30)
        elif name.startswith("stopped"):
            os.kill(os.getpid(), signal.SIGSTOP)
        elif name.startswith("doomed"):
            os.kill(os.getpid(), signal.SIGKILL)
        elif name.startswith("killed") and not os.path.exists(self.fp.name + ".once"):
            open(self.fp.name + ".once", "w").close()
            os.kill(os.getpid(), signal.SIGKILL)
        return _load(self)


    ImageFile.ImageFile.load = load
"""
"""What Pillow does to files by the beginning of their names."""


def install_poison(folder: Path, environment: dict[str, str]) -> dict[str, str]:
    """Return an environment whose Python processes decode by `POISON`, of files in ``folder``."""
    (folder / "sitecustomize.py").write_text(textwrap.dedent(POISON))
    found = environment.get("PYTHONPATH")
    path = os.pathsep.join([str(folder), *([found] if found else [])])
    return environment | {"PYTHONPATH": path}


def make_pictures(folder: Path, *names: str) -> Path:
    """Write small pictures of those names, each of other colours."""
    folder.mkdir(exist_ok=True)
    for number, name in enumerate(names):
        Image.new("RGB", (8, 6), (number, 20, 30)).save(folder / name)
    return folder
