"""What becomes of pixels that are not opaque: kept, cut, dropped, put on a colour, or refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from dask_quant.errors import OptionError
from dask_quant.given_colors import Color, as_colors

ALPHAS = ("keep", "drop", "matte", "cut")
"""What users choose from."""

Transparency = Literal["none", "one-bit", "any"]
"""Alphas that pixels may have: 255 alone; 0 and 255; any."""

OPAQUE_FROM = 128
"""Alpha from which a pixel is opaque where there is nothing between opaque and clear."""

WHITE: Color = (255, 255, 255)
"""What transparency is put on where no colour is given."""


@dataclass(frozen=True)
class AlphaRule:
    """What becomes of the pixels of an image that are not opaque, as it is read."""

    kind: str = "keep"
    """``keep``: pixels are RGBA; ``cut``: the same, alpha being 0 or 255, whichever is nearer;
    ``drop``: alpha is ignored, and hidden colours show; ``matte``: pixels are composited onto a
    colour; ``refuse``: they are an error."""
    matte: Color = WHITE
    """The colour, sRGB levels."""

    @property
    def keeps(self) -> bool:
        """Whether pixels may come as RGBA."""
        return self.kind in ("keep", "cut")

    @property
    def flattens(self) -> bool:
        """Whether transparency is gone once pixels are read."""
        return self.kind in ("drop", "matte")

    @property
    def refusing(self) -> AlphaRule:
        """The rule where transparency that is kept cannot be handled."""
        return REFUSE if self.keeps else self

    @property
    def cutting(self) -> AlphaRule:
        """The rule where the output holds no alpha between 0 and 255."""
        return CUT if self.keeps else self

    def find_transparency(self, has_alpha: bool) -> Transparency:
        """Return the alphas that pixels may have once they are read; stored ones if any."""
        if not (has_alpha and self.keeps):
            return "none"
        return "one-bit" if self.kind == "cut" else "any"


KEEP = AlphaRule()
"""Transparency is kept."""

CUT = AlphaRule("cut")
"""Pixels are opaque or clear."""

REFUSE = AlphaRule("refuse")
"""Transparency is an error."""


def as_alpha(alpha: Any, matte: Any = None) -> AlphaRule:
    """Return the rule that a user gives.

    Parameters
    ----------
    alpha : str or AlphaRule
        ``keep``, ``cut``, ``drop``, ``matte``, or ``matte:#rrggbb``.
    matte : str or sequence, optional
        The colour for ``matte``, a text or three levels, where it is not part of ``alpha``. None:
        white.

    Raises
    ------
    OptionError
        When it is none of these.

    Examples
    --------
    >>> as_alpha("drop").kind, as_alpha("matte:#f00").matte, as_alpha("matte", "#00f").matte
    ('drop', (255, 0, 0), (0, 0, 255))
    """
    if isinstance(alpha, AlphaRule):
        return alpha
    kind, _, color = alpha.partition(":") if isinstance(alpha, str) else ("", "", "")
    is_torn = isinstance(alpha, str) and alpha.endswith(":")
    if kind not in ALPHAS or is_torn or (color and (kind != "matte" or matte is not None)):
        message = f"Got alpha {alpha!r}; use keep, cut, drop, matte or matte:#rrggbb."
        raise OptionError(message)
    if matte is not None and kind != "matte":
        message = f"Got the matte {matte!r} with alpha {kind}; use alpha matte, or leave it out."
        raise OptionError(message)
    given = color or matte
    if given is None:
        return AlphaRule(kind)
    colors = as_colors(given if isinstance(given, str) else [given], "matte")
    if len(colors) != 1:
        message = f"Got {len(colors)} colours for matte; give one."
        raise OptionError(message)
    return AlphaRule(kind, colors[0])
