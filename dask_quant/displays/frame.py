"""What all displays are set in: one element with its own rules, which touch nothing around it."""

from __future__ import annotations

import re
from functools import cache

from dask_quant.report_page.markup import show_text
from dask_quant.report_page.style import PARTS

MAX_BYTES = 50_000
"""Bytes of a display: a notebook keeps every one of them."""

_SCOPE = "div.dask-quant"
"""What every rule is kept to."""

_OWN = """
:scope { --ink: currentColor; --soft: currentColor; --line: rgba(128, 128, 128, 0.45);
  --accent: #4a7fd6; --bad: #d64541; --check: #b5b5b5; --blank: #e6e6e6;
  max-width: 760px; margin: 4px 0 8px; font: 14px/1.5 system-ui, sans-serif; }
:scope > p { margin: 0 0 8px; }
:scope > p b { font-weight: 600; }
:scope > * + * { margin-top: 12px; }
.note, dt, .more, .count, caption, svg text { opacity: 0.8; }
.figures .value { font-size: 1.15rem; }
.note { margin: 12px 0 0; }
figure { margin: 0; }
.figures .alert { margin: 0; padding: 0 0 0 12px; border-width: 0 0 0 3px; background: none; }
.figures dt, .figures dd { padding: 0; width: auto; float: none; }
.swatches { grid-template-columns: repeat(auto-fill, minmax(200px, 1fr)); }
.swatches li { margin: 0; }
.swatches .count { white-space: normal; }
.swatches code { background: none; padding: 0; }
.squares { display: flex; flex-wrap: wrap; gap: 2px; margin-top: 12px; }
.squares i { width: 20px; height: 20px; border-radius: 3px; }
svg { max-width: 520px; }
svg .line { fill: none; stroke: var(--accent); stroke-width: 2; }
svg .dot { fill: var(--accent); }
svg .mark { stroke: var(--bad); stroke-dasharray: 5 4; }
svg .chosen { fill: var(--bad); opacity: 1; font-weight: 600; }
table { width: auto; margin: 0; }
caption { white-space: nowrap; }
.text { text-align: left; }
"""
"""Rules of notebooks alone, some of which undo Jupyter's own.

Ink is that of the page around, so that it is read on any ground."""


def make_frame(label: str, *parts: str) -> str:
    """Return a display of parts in HTML, called ``label`` by readers of screens."""
    body = "\n".join(part for part in parts if part)
    return (
        f'<div class="dask-quant" role="group" aria-label="{show_text(label)}">'
        f"<style>{_make_rules()}</style>\n{body}\n</div>"
    )


def make_lead(title: str, more: str = "") -> str:
    """Return the first line: what this is, and more about it."""
    remark = f", {show_text(more)}" if more else ""
    return f"<p><b>{show_text(title)}</b>{remark}</p>"


def clip_text(text: str, limit: int) -> str:
    """Return a text of at most ``limit`` characters, which says that it was cut.

    Examples
    --------
    >>> clip_text("abcdef", 4), clip_text("abcd", 4)
    ('abc…', 'abcd')
    """
    return text if len(text) <= limit else text[: limit - 1] + "…"


@cache
def _make_rules() -> str:
    """Return the rules of the page's parts and of notebooks, kept to the frame."""
    return scope_rules(PARTS + _OWN)


def scope_rules(rules: str) -> str:
    r"""Return rules of CSS kept to the frame, and without needless space.

    Examples
    --------
    >>> scope_rules("p, :scope > b { margin: 0;\n  color: red; }")
    'div.dask-quant p,div.dask-quant > b{margin:0;color:red}'
    """
    return "".join(
        ",".join(_scope_selector(selector.strip()) for selector in selectors.split(","))
        + "{"
        + re.sub(r"\s*([;:,])\s*", r"\1", re.sub(r"\s+", " ", body)).strip(" ;")
        + "}"
        for selectors, body in re.findall(r"([^{}]+)\{([^{}]*)\}", rules)
    )


def _scope_selector(selector: str) -> str:
    """Return a selector of what is in the frame, or of the frame itself."""
    if selector.startswith(":scope"):
        return _SCOPE + selector.removeprefix(":scope")
    return f"{_SCOPE} {selector}"
