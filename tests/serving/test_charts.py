"""Behaviour of serving.charts: still, inert, deterministic pictures."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from xml.etree import ElementTree

import matplotlib as mpl
import pytest

from serving.charts import (
    Bar,
    Gains,
    RulePoints,
    effect_chart,
    family_chart,
    gains_chart,
    is_stretched,
    points_chart,
    reliability_chart,
    stage_chart,
)
from serving.report_language import language

EN = language("en")
HOSTILE = "</svg><script>alert(1)</script>\0=1+1 \u202e\u05d0 \u4e2d\u6587 $\\frac{1}$ a@b.example"


def bin_of(predicted: float, observed: float, *, rows: int = 100) -> dict[str, float]:
    low, high = max(0.0, observed - 0.05), min(1.0, observed + 0.05)
    return {"predicted": predicted, "observed": observed, "low": low, "high": high, "rows": rows}


def families(words: str = "what they did", *, name: str = "one") -> str:
    return family_chart(name=name, title=words, families=[Bar(words, 0.05, 0.04, 0.07), Bar("the past", 0.01)])


def effects(words: str = "2 to 3") -> str:
    bins = [
        {"label": words, "rows": 1203, "effect": 0.04, "low": 0.03, "high": 0.06, "observed": 0.081},
        {"label": "0", "rows": 5000, "effect": -0.02, "observed": None},
    ]
    return effect_chart(name="two", title=words, bins=bins, reach=0.04, lang=EN, noun="contacts")


def gains(words: str = "Model") -> str:
    points = [{"share": step / 20, "captured": min(1.0, step / 10)} for step in range(1, 21)]
    return gains_chart(
        name="three", title=words, gains=[Gains("model", words, points), Gains("a new scorer", words, points)], lang=EN
    )


def calibration(words: str = "model") -> str:
    bins = [bin_of(0.1, 0.12), bin_of(0.5, 0.45), bin_of(0.9, 0.97, rows=10)]
    return reliability_chart(name="four", title=words, bins=bins, scorer="model")


def stages(words: str = "offer sent") -> str:
    rows = [
        {"pipeline": words, "stage": words, "open_deals": 3, "manual": 0.6, "observed": 0.4, "model": 0.45},
        {"pipeline": "p", "stage": "new", "open_deals": 0, "manual": None, "observed": None, "model": None},
    ]
    return stage_chart(name="five", title=words, stages=rows, lang=EN)


def rules(words: str = "Asked for a demo") -> str:
    lines = [RulePoints(words, 30.0, 1.0, 0.0, 10.0), RulePoints("Sent a fax", -10.0, None, None, None)]
    return points_chart(name="seven", title=words, rules=lines, lang=EN)


CHARTS = [families, effects, gains, calibration, stages, rules]


def texts(svg: str) -> list[str]:
    return ["".join(element.itertext()) for element in ElementTree.fromstring(svg).iter("text")]


@pytest.mark.parametrize("chart", CHARTS)
def test_a_chart_is_one_svg_element_that_scales_and_names_itself(chart: Callable[..., str]) -> None:
    root = ElementTree.fromstring(chart("A title"))

    assert root.tag == "svg"
    assert set(root.attrib) == {"viewBox", "role", "aria-labelledby"}
    assert root.attrib["role"] == "img"
    title = root[0]
    assert (title.tag, title.text, title.get("id")) == ("title", "A title", root.attrib["aria-labelledby"])


@pytest.mark.parametrize("chart", CHARTS)
def test_a_chart_holds_neither_metadata_nor_style_rules_nor_addresses(chart: Callable[..., str]) -> None:
    svg = chart()

    assert {element.tag for element in ElementTree.fromstring(svg).iter()} <= {
        "svg", "title", "g", "path", "text", "defs", "clipPath", "rect", "use",
    }  # fmt: skip
    assert re.findall(r"https?:|xmlns|<!|<\?|Matplotlib", svg) == []


@pytest.mark.parametrize("chart", CHARTS)
def test_hostile_names_are_text_and_nothing_else(chart: Callable[..., str]) -> None:
    root = ElementTree.fromstring(chart(HOSTILE))

    assert [element.tag for element in root.iter() if element.tag in ("script", "a", "image", "style")] == []
    written = "".join(root.itertext())
    assert "</svg><script>alert" in written
    assert re.findall("[\0\u202e]", written) == []
    assert "@" not in written


@pytest.mark.parametrize("chart", CHARTS)
def test_the_same_numbers_give_the_same_bytes_whatever_the_machine_prefers(chart: Callable[..., str]) -> None:
    first = chart()
    with mpl.rc_context({"font.size": 30, "svg.fonttype": "path", "axes.facecolor": "red", "svg.hashsalt": None}):
        second = chart()

    assert first == second


def test_settings_of_the_machine_are_as_before_after_drawing() -> None:
    before = dict(mpl.rcParams)

    families()

    assert dict(mpl.rcParams) == before


def test_charts_on_one_page_do_not_share_ids_and_find_their_own() -> None:
    pages = [chart() for chart in CHARTS] + [families(name="six")]

    ids = [found for svg in pages for found in re.findall(r'\bid="([^"]+)"', svg)]
    assert len(ids) == len(set(ids))
    for svg in pages:
        used = set(re.findall(r'(?:url\(|href=")#([\w-]+)', svg))
        assert used <= set(re.findall(r'\bid="([^"]+)"', svg))


def test_text_is_text_in_the_readers_own_font() -> None:
    assert {"what they did", "5.0\xa0pp", "the past", "1.0\xa0pp"} <= set(texts(families()))


def test_an_effect_stands_beside_its_rows_and_its_rate() -> None:
    shown = texts(effects())

    assert {"2 to 3", "1,203 · 8.1\xa0%", "0", "5,000 · n/a", "+2", "−2"} <= set(shown)


def test_effects_drawn_to_one_scale_have_the_same_ticks() -> None:
    small = effect_chart(
        name="s",
        title="s",
        bins=[{"label": "a", "rows": 1, "effect": 0.001, "observed": 0.0}],
        reach=0.3,
        lang=EN,
        noun="deals",
    )

    assert {"+20", "−20"} <= set(texts(small))


def test_long_labels_are_shortened() -> None:
    assert "a stage with a very…" in texts(stages("a stage with a very long name indeed"))


def test_scorers_differ_in_dashes_and_not_only_in_colour() -> None:
    points = [{"share": 1.0, "captured": 1.0}]
    names = ["model", "point_rules", "stage_observed", "stage_manual", "naive_bayes"]

    svg = gains_chart(name="g", title="g", gains=[Gains(name, name, points) for name in names], lang=EN)

    dashes = {name: set(re.findall(r"stroke-dasharray: ([^;\"]+)", part)) for name, part in legend_parts(svg, names)}
    assert dashes["model"] == set()
    assert len({tuple(sorted(found)) for found in dashes.values()}) == 5


def legend_parts(svg: str, names: list[str]) -> list[tuple[str, str]]:
    """The part of the legend before each name holds its line."""
    legend = svg[svg.rindex(f">{names[0]}<") - 1500 :]
    cuts = [legend.index(f">{name}<") for name in names]
    return [(name, legend[start:end]) for name, start, end in zip(names, [0, *cuts], cuts, strict=False)]


def test_axes_are_stretched_only_where_most_probabilities_are_low() -> None:
    rare = [bin_of(0.001, 0.0), bin_of(0.003, 0.01), bin_of(0.4, 0.4)]
    common = [bin_of(0.2, 0.2), bin_of(0.3, 0.3), bin_of(0.5, 0.5)]

    assert is_stretched(rare)
    assert not is_stretched(common)
    assert "1\xa0%" in texts(reliability_chart(name="r", title="r", bins=rare, scorer="model"))


@pytest.mark.parametrize("probability", [0.0, 1e-6, 1.0])
def test_a_single_bin_at_the_edge_can_be_drawn(probability: float) -> None:
    svg = reliability_chart(name="r", title="r", bins=[bin_of(probability, probability)], scorer="base_rate")

    assert ElementTree.fromstring(svg).tag == "svg"


def test_effects_of_zero_can_be_drawn() -> None:
    nothing = [{"label": "all", "rows": 5, "effect": 0.0, "observed": 0.2}]

    assert "0" in texts(effect_chart(name="z", title="z", bins=nothing, reach=0.0, lang=EN, noun="contacts"))
    assert "0.00\xa0pp" in texts(family_chart(name="f", title="f", families=[Bar("x", 0.0)]))


def test_matplotlib_is_loaded_only_to_draw() -> None:
    program = "import sys, serving.report; print('matplotlib' in sys.modules)"

    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert run.stdout.strip() == "False"


def test_a_long_label_takes_two_lines_before_it_is_cut() -> None:
    bins = [
        {"label": "machines: Budget approval", "rows": 5, "effect": 0.1, "observed": 0.5},
        {"label": "machines: a stage with a name that never ends", "rows": 5, "effect": -0.1, "observed": 0.1},
    ]

    drawn = texts(effect_chart(name="f", title="stage", bins=bins, reach=0.1, lang=EN, noun="contacts"))

    assert [text for text in drawn if text in ("machines: Budget", "approval")] == ["machines: Budget", "approval"]
    assert "machines: a stage" in drawn
    assert [text for text in drawn if text.endswith("…")] == ["with a name that…"]


def test_a_range_is_drawn_around_a_bar_and_a_dot_and_never_beyond_the_picture() -> None:
    assert len(re.findall("<path", families())) > len(
        re.findall("<path", family_chart(name="f", title="f", families=[Bar("a", 0.05), Bar("b", 0.01)]))
    )
    far = [{"label": "a", "rows": 5, "effect": 0.02, "low": -3.0, "high": 3.0, "observed": 0.5}]

    svg = effect_chart(name="w", title="w", bins=far, reach=0.03, lang=EN, noun="contacts")

    across = [float(x) for path in re.findall(r'd="([^"]+)"', svg) for x in re.findall(r"[ML] (-?[\d.]+) ", path)]
    assert min(across) >= 0
    assert max(across) <= 340


def test_a_rule_that_could_not_be_priced_shows_its_own_points_alone() -> None:
    shown = texts(rules())

    assert {"Asked for a demo", "Sent a fax", "Yours", "The past supports"} <= set(shown)
    nothing = points_chart(name="n", title="n", rules=[RulePoints("x", 5.0, None, None, None)], lang=EN)
    assert "The past supports" not in texts(nothing)


def test_a_german_picture_writes_its_words_and_numbers_in_german() -> None:
    bins = [{"label": "2,5", "rows": 1203, "effect": 0.005, "observed": 0.081}]

    shown = texts(effect_chart(name="d", title="d", bins=bins, reach=0.006, lang=language("de"), noun="Kontakte"))

    assert {"1.203 · 8,1\xa0%", "Wirkung (PP)", "Kontakte · gew.", "+0,5"} <= set(shown)
