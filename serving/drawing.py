"""How pictures of the report are drawn: under settings that no machine can change, and inert in a page."""

from __future__ import annotations

import contextlib
import io
import re
import textwrap
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final
from xml.etree import ElementTree

from serving.report_numbers import inert

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK: Final = "#1c2a36"
MUTED: Final = "#54616c"
RULE: Final = "#d5dbe0"
ACCENT: Final = "#0072b2"
BELOW: Final = "#d55e00"
LABEL: Final = 18
_POINTS_PER_INCH: Final = 72


@contextlib.contextmanager
def drawing(width: float, height: float) -> Iterator[Figure]:
    """Give a figure of this size (one unit of the SVG is a CSS pixel) under settings that no machine can change."""
    # Half a second that a program which only reads scores need not pay.
    import matplotlib as mpl
    from matplotlib.figure import Figure

    settings: dict[Any, Any] = {
        "svg.fonttype": "none",
        "svg.hashsalt": "leadline",
        # A dollar sign in a stage's name is money, not the start of a formula.
        "text.parse_math": False,
        "text.usetex": False,
        "axes.unicode_minus": True,
        "font.family": ["DejaVu Sans"],
        "font.size": 12,
        "text.color": INK,
        "axes.labelcolor": MUTED,
        "axes.edgecolor": RULE,
        "xtick.color": MUTED,
        "ytick.color": MUTED,
    }
    with mpl.rc_context(), warnings.catch_warnings():
        mpl.rcdefaults()
        mpl.rcParams.update(settings)
        # The reader's own fonts draw the text; matplotlib only measures it.
        warnings.filterwarnings("ignore", message="(?s).*Glyph|.*Matplotlib currently does not support")
        yield Figure(figsize=(width / _POINTS_PER_INCH, height / _POINTS_PER_INCH))


def axes_in(figure: Figure, *, left: float, right: float, top: float, bottom: float) -> Axes:
    width, height = (_POINTS_PER_INCH * side for side in figure.get_size_inches())
    box = (left / width, bottom / height, (width - left - right) / width, (height - top - bottom) / height)
    axes = figure.add_axes(box)
    axes.patch.set_visible(False)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.tick_params(length=0, pad=6)
    return axes


def bare(axes: Axes) -> None:
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)


def whisker(axes: Axes, low: float, high: float, at: float) -> None:
    """Draw a 95 % range as a thin line with ends: above a bar, and below the mark that is drawn after it."""
    axes.plot([low, high], [at, at], color="white", linewidth=3.4, solid_capstyle="butt", zorder=2.1)
    axes.plot([low, high], [at, at], color=INK, linewidth=1.2, solid_capstyle="butt", zorder=2.2)
    for end in (low, high):
        axes.plot([end, end], [at - 0.14, at + 0.14], color=INK, linewidth=1.2, zorder=2.2)


def two_lines(label: str, *, width: int = LABEL) -> str:
    """Break a label that is too long for its place; what does not fit on two lines is cut."""
    lines = textwrap.wrap(label, width)
    if len(lines) < 2:
        return "".join(lines)
    rest = " ".join(lines[1:])
    return f"{lines[0]}\n{rest if len(rest) <= width else rest[: width - 1].rstrip() + '…'}"


def svg_of(figure: Figure, *, name: str, title: str) -> str:
    """Return the figure as an SVG element that may stand in an HTML page beside others.

    Its ids start with ``name``; it has no size of its own, no metadata, no namespace, and a title for screen readers.
    """
    written = io.BytesIO()
    metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(written, format="svg", transparent=True, metadata=metadata)
    root = ElementTree.fromstring(written.getvalue())  # noqa: S314 - written by matplotlib two lines above
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        element.text = element.text if element.tag == "text" else None
        element.tail = None
        # In a page, its one style rule would reach beyond the picture.
        for style in [child for child in element if child.tag.endswith(("}style", "}metadata"))]:
            element.remove(style)
    used = set(re.findall(r"#([\w-]+)", " ".join(value for part in root.iter() for value in part.attrib.values())))
    for element in root.iter():
        own = {key.rpartition("}")[2]: value for key, value in element.attrib.items()}
        if own.get("id") not in used:
            own.pop("id", None)
        else:
            own["id"] = f"{name}-{own['id']}"
        for key in ("href", "clip-path"):
            if key in own:
                own[key] = own[key].replace("#", f"#{name}-", 1)
        element.attrib.clear()
        element.attrib.update(own)
    for kind in ("width", "height", "version"):
        root.attrib.pop(kind, None)
    root.attrib.update({"role": "img", "aria-labelledby": f"{name}-title"})
    heading = ElementTree.Element("title", {"id": f"{name}-title"})
    heading.text = inert(title, longest=160)
    root.insert(0, heading)
    return ElementTree.tostring(root, encoding="unicode")
