"""The page of the board: one HTML text that refers to nothing outside of its scheduler.

It has the looks of the pages about jobs (`dask_quant.report_page.style`), and a script that asks
for the jobs. Its policy allows this style and this script, by their digests, and nothing else:
whatever a job is called, a browser runs none of it.
"""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files

from dask_quant.report_page.style import STYLE


def read_part(name: str) -> str:
    """Return a file that lies beside this module, as text."""
    return (files(__package__) / name).read_text(encoding="utf-8")


def make_page() -> tuple[str, str]:
    """Return the page, and the policy that it is to be shown under."""
    style, script = STYLE + read_part("page.css"), read_part("page.js")
    page = read_part("page.html").replace("@STYLE@", style).replace("@SCRIPT@", script)
    policy = (
        f"default-src 'none'; style-src {_digest(style)}; script-src {_digest(script)}; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
    )
    return page, policy


def _digest(text: str) -> str:
    """Return what a policy calls a text inside of a page by."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


PAGE, CONTENT_POLICY = make_page()
