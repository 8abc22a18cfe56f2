"""The pictures of the report: still SVG, drawn from numbers that were computed elsewhere."""

from __future__ import annotations

import contextlib
import io
import math
import re
import textwrap
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from xml.etree import ElementTree

from serving.report_numbers import count, finite, inert, percent, points
from serving.report_words import TEXTS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Row = Mapping[str, Any]

INK: Final = "#1c2a36"
MUTED: Final = "#54616c"
RULE: Final = "#d5dbe0"
ACCENT: Final = "#0072b2"
BELOW: Final = "#d55e00"
WIDE: Final = 400
NARROW: Final = 340
_POINTS_PER_INCH: Final = 72
_LABEL: Final = 18


@dataclass(frozen=True)
class Pen:
    """How one scorer is drawn everywhere: told apart by colour (Okabe-Ito), by dashes and by mark."""

    colour: str
    dashes: tuple[int, tuple[int, ...]] | str
    mark: str
    width: float = 1.8


PENS: Final = {
    "model": Pen(ACCENT, "solid", "D", 2.6),
    "point_rules": Pen(BELOW, (0, (5, 2)), "s"),
    "stage_observed": Pen("#009e73", (0, (5, 2, 1, 2)), "o"),
    "stage_manual": Pen("#e69f00", (0, (1, 1)), "^"),
    "naive_bayes": Pen("#cc79a7", (0, (3, 1, 1, 1, 1, 1)), "v"),
}
_OTHER_PEN: Final = Pen(MUTED, (0, (2, 2)), "x")


@dataclass(frozen=True)
class Gains:
    """One scorer's line in the gains chart."""

    scorer: str
    label: str
    points: Sequence[Row]


def family_chart(*, name: str, title: str, words: Sequence[str], sizes: Sequence[float]) -> str:
    """Draw one bar for each family, its words above it and its size in percentage points behind it."""
    row = 40
    with _drawing(WIDE, row * len(sizes) + 6) as figure:
        axes = _axes(figure, left=2, right=74, top=2, bottom=2)
        axes.axis("off")
        places = [-float(place) for place in range(len(sizes))]
        axes.barh(places, sizes, height=0.36, color=ACCENT)
        top = max([*sizes, 1e-9])
        for place, word, size in zip(places, words, sizes, strict=True):
            axes.text(0, place + 0.27, inert(word, longest=56), va="bottom", ha="left", color=INK)
            axes.text(size + top * 0.015, place, points(size, signed=False), va="center", color=INK, weight="bold")
        axes.set(xlim=(0, top), ylim=(places[-1] - 0.25, 0.75))
        return _svg(figure, name=name, title=title)


def effect_chart(*, name: str, title: str, bins: Sequence[Row], reach: float) -> str:
    """Draw one dot for each bin of a feature, with the number of rows and the share won beside it.

    ``reach`` is the largest effect among the charts that are to be compared.
    """
    labels = [_two_lines(inert(each["label"], longest=60)) for each in bins]
    row, head = 34 if any("\n" in label for label in labels) else 26, 26
    end = 1.12 * max(reach, 0.001)
    with _drawing(NARROW, head + row * len(bins) + 24) as figure:
        axes = _axes(figure, left=122, right=98, top=head, bottom=24)
        axes.set(xlim=(-end, end), ylim=(-len(bins) + 0.5, 0.5))
        axes.axvline(0, color=MUTED, linewidth=1)
        ticks = _pair_of_ticks(end)
        axes.set_xticks(
            ticks, [f"{'+' if tick > 0 else ''}{100 * tick:g}".replace("-", "\N{MINUS SIGN}") for tick in ticks]
        )
        axes.set_yticks([])
        _bare(axes)
        across = axes.get_yaxis_transform()
        first, last = -122 / (NARROW - 220), (NARROW - 122) / (NARROW - 220)
        for place, each in enumerate(bins):
            up = each["effect"] >= 0
            colour = ACCENT if up else BELOW
            guide: dict[str, Any] = {
                "transform": across,
                "color": RULE,
                "linewidth": 0.7,
                "clip_on": False,
                "zorder": 0,
            }
            axes.plot([first, last], [-place - 0.5, -place - 0.5], **guide)
            axes.plot([0, each["effect"]], [-place, -place], color=colour, linewidth=2.2)
            axes.plot(each["effect"], -place, marker="o" if up else "s", color=colour, markersize=7)
            axes.text(first, -place, labels[place], transform=across, ha="left", va="center", linespacing=1.1)
            beside = f"{count(each['rows'])} · {percent(each['observed'])}"
            axes.text(last, -place, beside, transform=across, ha="right", va="center", color=MUTED)
        axes.text(0.5, 0.76, TEXTS["axis_effect"], transform=across, ha="center", color=MUTED)
        axes.text(last, 0.76, TEXTS["axis_rows"], transform=across, ha="right", color=MUTED)
        return _svg(figure, name=name, title=title)


def _two_lines(label: str) -> str:
    """Break a label that is too long for its place; what does not fit on two lines is cut."""
    lines = textwrap.wrap(label, _LABEL)
    if len(lines) < 2:
        return "".join(lines)
    rest = " ".join(lines[1:])
    return f"{lines[0]}\n{rest if len(rest) <= _LABEL else rest[: _LABEL - 1].rstrip() + '…'}"


def gains_chart(*, name: str, title: str, gains: Sequence[Gains]) -> str:
    """Draw the share of the wins reached against the share of the list worked, one line for each scorer."""
    with _drawing(WIDE, 350) as figure:
        axes = _axes(figure, left=62, right=24, top=10, bottom=46)
        axes.plot([0, 1], [0, 1], color=RULE, linewidth=1.5)
        axes.axvline(0.2, color=MUTED, linewidth=0.8, linestyle=(0, (2, 3)))
        for line in reversed(gains):
            pen = PENS.get(line.scorer, _OTHER_PEN)
            known = [point for point in line.points if finite(point["captured"])]
            axes.plot(
                [0.0, *(point["share"] for point in known)],
                [0.0, *(point["captured"] for point in known)],
                color=pen.colour,
                linestyle=pen.dashes,
                linewidth=pen.width,
                marker=pen.mark,
                markersize=5,
                markeredgecolor=INK,
                markeredgewidth=0.6,
                markevery=4,
                label=inert(line.label, longest=32),
            )
        axes.set(xlim=(0, 1.01), ylim=(0, 1.02), xlabel=TEXTS["axis_share"], ylabel=TEXTS["axis_captured"])
        _percent_ticks(axes, [0, 0.2, 0.4, 0.6, 0.8, 1])
        handles, labels = axes.get_legend_handles_labels()
        axes.legend(handles[::-1], labels[::-1], loc="lower right", frameon=False, handlelength=3.2)
        return _svg(figure, name=name, title=title)


def is_stretched(bins: Sequence[Row]) -> bool:
    """Say whether most probabilities lie so low that the reliability chart stretches that end."""
    said = sorted(each["predicted"] for each in bins)
    return len(said) > 2 and said[len(said) // 2] < said[-1] / 5


def reliability_chart(*, name: str, title: str, bins: Sequence[Row], scorer: str) -> str:
    """Draw observed against predicted with 95 % bars; a dot's area is its share of the rows."""
    stretch = math.sqrt if is_stretched(bins) else float
    top = min(1.0, 1.06 * max(max(each["predicted"], each["high"], 0.01) for each in bins))
    end = stretch(top)
    most = max(each["rows"] for each in bins)
    pen = PENS.get(scorer, _OTHER_PEN)
    with _drawing(WIDE, 370) as figure:
        axes = _axes(figure, left=66, right=24, top=12, bottom=46)
        axes.plot([0, end], [0, end], color=RULE, linewidth=1.5)
        for each in bins:
            said, came = stretch(each["predicted"]), stretch(each["observed"])
            ends = [stretch(max(each["low"], 0.0)), stretch(each["high"])]
            axes.plot([said, said], ends, color=MUTED, linewidth=1.3)
            size = 4 + 5 * math.sqrt(each["rows"] / most)
            axes.plot(said, came, marker="o", color=pen.colour, markersize=size, markeredgecolor="white")
        axes.set(xlim=(0, 1.01 * end), ylim=(0, 1.01 * end))
        axes.set(xlabel=TEXTS["axis_predicted"], ylabel=TEXTS["axis_observed"])
        ticks = _probability_ticks(top, stretched=stretch is math.sqrt)
        _percent_ticks(axes, [stretch(tick) for tick in ticks], shown=ticks)
        return _svg(figure, name=name, title=title)


def stage_chart(*, name: str, title: str, stages: Sequence[Row]) -> str:
    """Draw each stage's manual probability, observed rate and model average on one line."""
    row, head = 30, 34
    kinds = {"manual": ("stage_manual", "s"), "observed": ("stage_observed", "o"), "model": ("model", "D")}
    words = {"manual": TEXTS["manual"], "observed": TEXTS["rate"], "model": TEXTS["model"]}
    with _drawing(WIDE, head + row * len(stages) + 26) as figure:
        axes = _axes(figure, left=132, right=20, top=head, bottom=26)
        axes.set(xlim=(-0.02, 1.02), ylim=(-len(stages) + 0.5, 0.5))
        _bare(axes)
        axes.set_yticks([])
        ticks = [0.0, 0.25, 0.5, 0.75, 1.0]
        axes.set_xticks(ticks, [percent(tick) for tick in ticks])
        axes.grid(axis="x", color=RULE, linewidth=0.8)
        across = axes.get_yaxis_transform()
        first = -132 / (WIDE - 132 - 20)
        for place, stage in enumerate(stages):
            known = [stage[kind] for kind in kinds if finite(stage[kind])]
            if known:
                axes.plot([min(known), max(known)], [-place, -place], color=MUTED, linewidth=1.2, zorder=1)
            axes.text(first, -place, inert(stage["stage"], longest=20), transform=across, ha="left", va="center")
        for kind, (scorer, mark) in kinds.items():
            dots = [(stage[kind], -place) for place, stage in enumerate(stages) if finite(stage[kind])]
            axes.plot(
                [dot[0] for dot in dots],
                [dot[1] for dot in dots],
                linestyle="none",
                marker=mark,
                markersize=8,
                color=PENS[scorer].colour,
                markeredgecolor=INK,
                markeredgewidth=0.7,
                label=words[kind],
            )
        axes.legend(loc="lower right", bbox_to_anchor=(1.05, 1.0), ncols=3, frameon=False, handletextpad=0.2)
        return _svg(figure, name=name, title=title)


@contextlib.contextmanager
def _drawing(width: float, height: float) -> Iterator[Figure]:
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


def _axes(figure: Figure, *, left: float, right: float, top: float, bottom: float) -> Axes:
    width, height = (_POINTS_PER_INCH * side for side in figure.get_size_inches())
    box = (left / width, bottom / height, (width - left - right) / width, (height - top - bottom) / height)
    axes = figure.add_axes(box)
    axes.patch.set_visible(False)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.tick_params(length=0, pad=6)
    return axes


def _bare(axes: Axes) -> None:
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)


def _percent_ticks(axes: Axes, places: Sequence[float], *, shown: Sequence[float] | None = None) -> None:
    labels = [f"{100 * tick:.3g}\N{NO-BREAK SPACE}%" for tick in (places if shown is None else shown)]
    axes.set_xticks(places, labels)
    axes.set_yticks(places, labels)
    axes.grid(color=RULE, linewidth=0.6, alpha=0.7)


def _probability_ticks(top: float, *, stretched: bool) -> list[float]:
    """Choose ticks a reader expects, none closer than an eighth of the axis to the one before."""
    if not stretched:
        step = next(step for step in (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2) if top / step <= 6 or step == 0.2)
        return [step * place for place in range(int(top / step + 1e-9) + 1)]
    chosen = [0.0]
    for tick in (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0):
        if tick <= top and math.sqrt(tick / top) - math.sqrt(chosen[-1] / top) >= 0.125:
            chosen.append(tick)
    return chosen


def _pair_of_ticks(reach: float) -> list[float]:
    """Choose one round number and its mirror, so that narrow charts stay readable."""
    size = 10.0 ** math.floor(math.log10(reach))
    tick = max((part * size for part in (1, 2, 5) if part * size <= reach), default=size)
    return [-tick, 0.0, tick]


def _svg(figure: Figure, *, name: str, title: str) -> str:
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
