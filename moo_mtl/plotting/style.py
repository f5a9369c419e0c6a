"""How figures look: one colour, marker and line per rule in every figure; widths and fonts of the usual venues.

The first eight colours are Okabe and Ito's, which all kinds of colour vision tell apart; six more are as far from them and from
each other as thin lines on white allow, also without red or green cones. Marker and line style tell the rest, so that a figure
printed in grey still reads.
"""

from __future__ import annotations

from typing import Any, NamedTuple
from zlib import crc32

from moo_mtl.errors import unknown

# Okabe and Ito (2008) without its yellow, which is too pale for lines on white, then ours; neighbours differ in lightness.
# fmt: off
COLOURS = (
    "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#000000", "#7F7F7F",
    "#6B3A11", "#AA55FF", "#660055", "#A2AA5A", "#001188", "#CC0044",
)
# fmt: on
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h", "d")
LINES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)))

FRONT_COLOUR = "#222222"  # what is known, in every figure
LANDSCAPE = ("#FFFFFF", "#A9A9A9")  # from the lowest contour to the highest: greys, so that only tracks have colour

# Rules that share figures most often come first: as many as there are colours have one each. Rules that trace fronts share
# figures with one another, and begin with the first colour again.
# fmt: off
_WEIGHTING = (
    "equal", "mgda", "db-mtl", "bmtl", "task-tensioner", "ema", "nash-mtl", "famo", "cagrad", "pcgrad", "upgrad",
    "imtl-g", "aligned-mtl", "dualproj", "config", "edm", "fairgrad", "gradvac", "uw", "dwa", "gradnorm", "rlw", "imtl-l",
    "imtl", "gls", "sum-of-logs",
)
_FRONTS = (  # the first two have the colours of equal and mgda, of which they are kin: those stand beside fronts too
    "linear", "moo-svgd", "tchebycheff", "epo", "pbi", "cosmos", "pmgda", "pmtl", "stch", "hypervolume", "modified-tchebycheff",
    "soft-modified-tchebycheff", "augmented-tchebycheff", "preference-mgda",
)
# fmt: on
_START = 2 * len(COLOURS)  # of the rules for fronts, after those for weights
_PLACES = {name: place for place, name in enumerate(_WEIGHTING)} | {name: _START + place for place, name in enumerate(_FRONTS)}

_COLUMN = {  # text widths in inches: one column, both columns
    "neurips": (5.5, 5.5),
    "iclr": (5.5, 5.5),
    "jmlr": (6.0, 6.0),
    "icml": (3.25, 6.75),
    "ieee": (3.5, 7.16),
    "acm": (3.33, 7.0),
    "screen": (6.4, 10.0),
}
VENUES = tuple(_COLUMN)


class Look(NamedTuple):
    """How one rule or task is drawn."""

    colour: str
    marker: str
    line: Any


def look(name: str) -> Look:
    """The look of a rule: the same in every figure, on every machine; a name never seen before gets a lasting one too.

    >>> look("mgda") == look("mgda"), look("mgda").colour == look("db-mtl").colour
    (True, False)
    """
    return numbered(_PLACES.get(name, _START + len(_FRONTS) + crc32(name.encode())))


def numbered(place: int) -> Look:
    """The look of the n-th of several things without names of their own, such as tasks."""
    round_ = place // len(COLOURS)
    return Look(COLOURS[place % len(COLOURS)], MARKERS[(place + round_) % len(MARKERS)], LINES[(place + round_) % len(LINES)])


def size(venue: str = "screen", *, columns: int = 1, aspect: float = 0.62) -> tuple[float, float]:
    """Width and height in inches of a figure over one or two columns; ``aspect`` is height over width.

    Raises:
        InputError: the venue is unknown.
    """
    if venue not in _COLUMN:
        raise unknown("venue", venue, _COLUMN)
    width = _COLUMN[venue][0 if columns == 1 else 1]
    return width, width * aspect


def rc(venue: str = "screen") -> Any:
    """Matplotlib settings for a venue: ``with matplotlib.rc_context(style.rc("icml")): ...``

    Raises:
        InputError: the venue is unknown.
    """
    large = 10.0 if venue == "screen" else 8.0
    return {
        "figure.figsize": size(venue),
        "figure.dpi": 120,
        "figure.constrained_layout.use": True,
        "savefig.dpi": 200,
        "pdf.fonttype": 42,  # text stays text: venues refuse Type 3 fonts
        "ps.fonttype": 42,
        "font.family": "sans-serif" if venue == "screen" else "serif",
        "font.serif": ["STIXGeneral", "DejaVu Serif"],
        "mathtext.fontset": "dejavusans" if venue == "screen" else "stix",
        "font.size": large,
        "axes.titlesize": large,
        "axes.labelsize": large,
        "legend.fontsize": large - 1,
        "xtick.labelsize": large - 1,
        "ytick.labelsize": large - 1,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.linewidth": 0.6,
        "xtick.major.width": 0.6,
        "ytick.major.width": 0.6,
        "lines.linewidth": 1.3,
        "lines.markersize": 4.5,
        "grid.linewidth": 0.4,
        "grid.color": "#DDDDDD",
        "legend.frameon": False,
    }
