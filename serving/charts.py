"""The pictures of the report: still SVG, drawn from numbers that were computed elsewhere."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from serving.drawing import ACCENT, BELOW, INK, MUTED, RULE, axes_in, bare, drawing, svg_of, two_lines, whisker
from serving.report_language import Language, language
from serving.report_numbers import ENGLISH, Numbers, finite, inert

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Row = Mapping[str, Any]

WIDE: Final = 400
NARROW: Final = 340


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
class Bar:
    """One family: its words, its size as a difference of probability, and its 95 % range if there is one."""

    words: str
    size: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class RulePoints:
    """One rule's points: those that are given, and those of the past with their range, if it could be priced."""

    name: str
    manual: float
    learned: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Gains:
    """One scorer's line in the gains chart."""

    scorer: str
    label: str
    points: Sequence[Row]


def family_chart(*, name: str, title: str, families: Sequence[Bar], numbers: Numbers = ENGLISH) -> str:
    """Draw one bar for each family with its 95 % range, its words above it and its size behind it."""
    row = 40
    with drawing(WIDE, row * len(families) + 6) as figure:
        axes = axes_in(figure, left=2, right=74, top=2, bottom=2)
        axes.axis("off")
        top = max([*(max(bar.size, bar.high or 0.0) for bar in families), 1e-9])
        for at, bar in enumerate(families):
            axes.barh(-at, bar.size, height=0.36, color=ACCENT)
            axes.text(0, -at + 0.27, inert(bar.words, longest=56), va="bottom", ha="left", color=INK)
            end = bar.size
            if bar.low is not None and bar.high is not None:
                whisker(axes, bar.low, bar.high, -at)
                end = max(bar.size, bar.high)
            size = numbers.points(bar.size, signed=False)
            axes.text(end + top * 0.02, -at, size, va="center", color=INK, weight="bold")
        axes.set(xlim=(0, top), ylim=(-len(families) + 0.75, 0.75))
        return svg_of(figure, name=name, title=title)


def effect_chart(*, name: str, title: str, bins: Sequence[Row], reach: float, lang: Language, noun: str) -> str:
    """Draw one dot for each bin of a fact with its 95 % range, and beside it how many had it and the share won.

    ``reach`` is how far the scale goes either way; a range that goes farther is cut.
    """
    numbers = lang.numbers
    labels = [two_lines(inert(each["label"], longest=60)) for each in bins]
    row, head = 34 if any("\n" in label for label in labels) else 26, 26
    end = 1.12 * max(reach, 0.001)
    with drawing(NARROW, head + row * len(bins) + 24) as figure:
        axes = axes_in(figure, left=122, right=98, top=head, bottom=24)
        axes.set(xlim=(-end, end), ylim=(-len(bins) + 0.5, 0.5))
        axes.axvline(0, color=MUTED, linewidth=1)
        ticks = _pair_of_ticks(end)
        axes.set_xticks(
            ticks,
            [
                f"{'+' if tick > 0 else ''}{100 * tick:g}".replace("-", "\N{MINUS SIGN}").replace(".", numbers.decimal)
                for tick in ticks
            ],
        )
        axes.set_yticks([])
        bare(axes)
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
            if finite(each.get("low")) and finite(each.get("high")):
                whisker(axes, max(each["low"], -end), min(each["high"], end), -place)
            axes.plot(each["effect"], -place, marker="o" if up else "s", color=colour, markersize=7, zorder=3)
            axes.text(first, -place, labels[place], transform=across, ha="left", va="center", linespacing=1.1)
            beside = f"{numbers.count(each.get('objects', each['rows']))} · {numbers.percent(each['observed'])}"
            axes.text(last, -place, beside, transform=across, ha="right", va="center", color=MUTED)
        axes.text(0.5, 0.76, lang.texts["axis_effect"], transform=across, ha="center", color=MUTED)
        rows = lang.texts["axis_rows"].format(nouns=noun)
        axes.text(last, 0.76, rows, transform=across, ha="right", color=MUTED)
        return svg_of(figure, name=name, title=title)


def points_chart(*, name: str, title: str, rules: Sequence[RulePoints], lang: Language) -> str:
    """Draw each rule's points: a square for those that are given, a dot with its 95 % range for those of the past."""
    row, head, left = 34, 30, 150
    with drawing(WIDE, head + row * len(rules) + 26) as figure:
        axes = axes_in(figure, left=left, right=14, top=head, bottom=26)
        ends = [
            value
            for rule in rules
            for value in (rule.manual, rule.learned, rule.low, rule.high)
            if value is not None and finite(value)
        ]
        low, high = min([*ends, 0.0]), max([*ends, 0.0])
        pad = 0.06 * max(high - low, 1.0)
        axes.set(xlim=(low - pad, high + pad), ylim=(-len(rules) + 0.5, 0.5))
        bare(axes)
        axes.set_yticks([])
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}".replace("-", "\N{MINUS SIGN}"))
        axes.grid(axis="x", color=RULE, linewidth=0.8)
        axes.axvline(0, color=MUTED, linewidth=1)
        across = axes.get_yaxis_transform()
        first = -left / (WIDE - left - 14)
        for at, rule in enumerate(rules):
            axes.text(first, -at, two_lines(inert(rule.name, longest=60), width=24), transform=across, va="center")
            if rule.learned is not None and rule.low is not None and rule.high is not None:
                whisker(axes, rule.low, rule.high, -at)
                axes.plot(
                    rule.learned, -at, "o", markersize=8, zorder=3, color=ACCENT,
                    markeredgecolor=INK, markeredgewidth=0.7,
                    label=lang.texts["supported"] if at == _first_priced(rules) else None,
                )  # fmt: skip
            axes.plot(
                rule.manual, -at, "s", markersize=7, zorder=4, color="white", markeredgecolor=BELOW, markeredgewidth=2,
                label=lang.texts["yours"] if at == 0 else None,
            )  # fmt: skip
        axes.legend(loc="lower right", bbox_to_anchor=(1.03, 1.0), ncols=2, frameon=False, handletextpad=0.2)
        return svg_of(figure, name=name, title=title)


def _first_priced(rules: Sequence[RulePoints]) -> int:
    return next((at for at, rule in enumerate(rules) if rule.learned is not None), -1)


def gains_chart(*, name: str, title: str, gains: Sequence[Gains], lang: Language, mark: float = 0.2) -> str:
    """Draw the share of the wins reached against the share of the list worked, one line for each scorer.

    ``mark`` is the share of the list that a dotted line marks.
    """
    with drawing(WIDE, 350) as figure:
        axes = axes_in(figure, left=62, right=24, top=10, bottom=46)
        axes.plot([0, 1], [0, 1], color=RULE, linewidth=1.5)
        axes.axvline(mark, color=MUTED, linewidth=0.8, linestyle=(0, (2, 3)))
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
        axes.set(xlim=(0, 1.01), ylim=(0, 1.02), xlabel=lang.texts["axis_share"], ylabel=lang.texts["axis_captured"])
        _percent_ticks(axes, [0, 0.2, 0.4, 0.6, 0.8, 1], numbers=lang.numbers)
        handles, labels = axes.get_legend_handles_labels()
        axes.legend(handles[::-1], labels[::-1], loc="lower right", frameon=False, handlelength=3.2)
        return svg_of(figure, name=name, title=title)


def is_stretched(bins: Sequence[Row]) -> bool:
    """Say whether most probabilities lie so low that the reliability chart stretches that end."""
    said = sorted(each["predicted"] for each in bins)
    return len(said) > 2 and said[len(said) // 2] < said[-1] / 5


def reliability_chart(*, name: str, title: str, bins: Sequence[Row], scorer: str, lang: Language | None = None) -> str:
    """Draw observed against predicted with 95 % bars; a dot's area is its share of the rows."""
    stretch = math.sqrt if is_stretched(bins) else float
    top = min(1.0, 1.06 * max(max(each["predicted"], each["high"], 0.01) for each in bins))
    end = stretch(top)
    most = max(each["rows"] for each in bins)
    pen = PENS.get(scorer, _OTHER_PEN)
    lang = lang or language("en")
    with drawing(WIDE, 370) as figure:
        axes = axes_in(figure, left=66, right=24, top=12, bottom=46)
        axes.plot([0, end], [0, end], color=RULE, linewidth=1.5)
        for each in bins:
            said, came = stretch(each["predicted"]), stretch(each["observed"])
            ends = [stretch(max(each["low"], 0.0)), stretch(each["high"])]
            axes.plot([said, said], ends, color=MUTED, linewidth=1.3)
            size = 4 + 5 * math.sqrt(each["rows"] / most)
            axes.plot(said, came, marker="o", color=pen.colour, markersize=size, markeredgecolor="white")
        axes.set(xlim=(0, 1.01 * end), ylim=(0, 1.01 * end))
        axes.set(xlabel=lang.texts["axis_predicted"], ylabel=lang.texts["axis_observed"])
        ticks = _probability_ticks(top, stretched=stretch is math.sqrt)
        _percent_ticks(axes, [stretch(tick) for tick in ticks], shown=ticks, numbers=lang.numbers)
        return svg_of(figure, name=name, title=title)


def stage_chart(*, name: str, title: str, stages: Sequence[Row], lang: Language) -> str:
    """Draw each stage's manual probability, observed rate and model average on one line."""
    row, head = 30, 34
    kinds = {"manual": ("stage_manual", "s"), "observed": ("stage_observed", "o"), "model": ("model", "D")}
    words = {"manual": lang.texts["manual"], "observed": lang.texts["rate"], "model": lang.texts["model"]}
    with drawing(WIDE, head + row * len(stages) + 26) as figure:
        axes = axes_in(figure, left=132, right=20, top=head, bottom=26)
        axes.set(xlim=(-0.02, 1.02), ylim=(-len(stages) + 0.5, 0.5))
        bare(axes)
        axes.set_yticks([])
        ticks = [0.0, 0.25, 0.5, 0.75, 1.0]
        axes.set_xticks(ticks, [lang.numbers.percent(tick) for tick in ticks])
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
        return svg_of(figure, name=name, title=title)


def _percent_ticks(
    axes: Axes, places: Sequence[float], *, numbers: Numbers, shown: Sequence[float] | None = None
) -> None:
    labels = [numbers.tick(tick) for tick in (places if shown is None else shown)]
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
