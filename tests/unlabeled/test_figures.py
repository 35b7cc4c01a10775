"""The figure style: described in words, the same bytes each time, colours that can be told
apart.
"""

import base64
import hashlib
import itertools
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from sentences import refused

import unlabeled
from unlabeled import figures
from unlabeled.claims import interval
from unlabeled.figures import PALETTE, band, colors, dots, show, use_style

ALT = "Two methods, each with its seeds as dots: the first lies well above the second."
CAPTION = "The first method wins on every seed."


@pytest.fixture(autouse=True)
def style():
    with plt.rc_context():
        use_style()
        yield
        plt.close("all")


def draw():
    figure, (left, right) = plt.subplots(1, 2)
    rng = np.random.default_rng(0)
    palette = colors("ours", "k-means")
    dots(left, {name: rng.normal(place, 1, 5) for place, name in enumerate(palette)}, palette)
    band(right, [1, 2, 3], rng.normal(size=(5, 3)), color=palette["ours"], label="ours")
    right.legend()
    right.set_title("A title with $x^2$")
    return figure


@pytest.mark.parametrize(
    "alt",
    ["", "A plot.", "   A plot.                                                   ", "x" * 39],
)
def test_alt_text_that_says_next_to_nothing_is_refused(alt):
    with refused("write 40 characters or more", error=ValueError):
        show(draw(), alt=alt, caption=CAPTION)
    show(draw(), alt="x" * 40, caption=CAPTION)


@pytest.mark.parametrize("caption", ["", " \n"])
def test_an_empty_caption_is_refused(caption):
    with refused("must say what to look at", error=ValueError):
        show(draw(), alt=ALT, caption=caption)


def test_the_figure_is_closed():
    figure, other = draw(), draw()
    show(figure, alt=ALT, caption=CAPTION)
    assert plt.get_fignums() == [other.number]


def test_the_same_figure_gives_the_same_bytes_in_this_process_and_in_a_fresh_one():
    first, second = (show(draw(), alt=ALT, caption=CAPTION)._repr_html_() for _ in range(2))
    assert first == second
    code = (
        "import hashlib, test_figures as t; t.use_style(); print(hashlib.sha256(t.show(t.draw(),"
        " alt=t.ALT, caption=t.CAPTION)._repr_html_().encode()).hexdigest())"
    )
    folders = f"{Path(unlabeled.__file__).parents[1]}:{Path(__file__).parent}"
    environment = {"PYTHONPATH": folders, "PYTHONHASHSEED": "7", "MPLBACKEND": "Agg", "PATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    assert done.stdout.strip() == hashlib.sha256(first.encode()).hexdigest(), done.stderr


def test_the_picture_tells_nothing_of_when_or_by_what_it_was_made():
    png = show(draw(), alt=ALT, caption=CAPTION).png
    chunks, place = [], 8
    while place < len(png):
        size = int.from_bytes(png[place : place + 4], "big")
        chunks.append(png[place + 4 : place + 8])
        place += size + 12
    assert chunks[0] == b"IHDR" and chunks[-1] == b"IEND"
    assert not {b"tEXt", b"zTXt", b"iTXt", b"tIME"} & set(chunks)


class Elements(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.text = {}, ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags[tag] = dict(attributes)

    def handle_data(self, data):
        self.text += data


def test_what_a_page_gets():
    alt, caption = ALT + ' "quoted" <b>&amp;</b>', '<script>x</script> & "so on"'
    plate = show(draw(), alt=f"  {alt}\n", caption=f" {caption} ")
    page = Elements(plate._repr_html_())
    assert set(page.tags) == {"figure", "img", "figcaption"}
    assert page.tags["img"]["alt"] == alt and page.text == caption
    assert (
        "dark-light" in page.tags["img"]["class"].split()
        and "background:#fff" in page.tags["img"]["style"]
    )
    kind, content = page.tags["img"]["src"].split(",")
    assert (
        kind == "data:image/png;base64"
        and base64.b64decode(content) == plate.png
        and plate.png.startswith(b"\x89PNG\r\n")
    )
    assert repr(plate) == f"Figure. {caption}\n{alt}"


@pytest.mark.parametrize("dpi", [160, 80, "figure"])
def test_a_picture_is_as_wide_on_the_page_as_it_is_in_inches(dpi):
    plt.rcParams["savefig.dpi"] = dpi
    figure = plt.figure(figsize=(7, 3.8))
    figure.add_axes((0, 0, 1, 1))
    plate = show(figure, alt=ALT, caption=CAPTION)
    assert 7 < plate.width / 96 < 7.7, "axes of 7 inches and the numbers beside them"


def test_the_plate_is_white_and_opaque_whatever_the_page():
    plt.rcParams["savefig.facecolor"] = "black"
    from io import BytesIO

    pixels = plt.imread(BytesIO(show(draw(), alt=ALT, caption=CAPTION).png))
    corners = pixels[[0, 0, -1, -1], [0, -1, 0, -1]]
    assert (corners == 1).all() and (pixels[..., 3:] == 1).all()


def test_each_method_keeps_its_colour():
    assert colors("a", "b", "c") == dict(a=PALETTE[0], b=PALETTE[1], c=PALETTE[2])
    assert len(colors(*"abcdefgh")) == 8
    with refused("9 methods, but only 8 colours can be told apart", error=ValueError):
        colors(*"abcdefghi")


# Colours


def linear(colour):
    """Linear sRGB in [0, 1] (IEC 61966-2-1)."""
    values = np.array(matplotlib.colors.to_rgb(colour))
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def contrast_on_white(colour):
    """Contrast ratio of WCAG 2."""
    return 1.05 / (linear(colour) @ [0.2126, 0.7152, 0.0722] + 0.05)


# Machado, Oliveira and Fernandes (2009), severity 1, on linear RGB.
SIGHT = {
    "full": np.eye(3),
    "deuteranopia": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
}


def lab(rgb):
    """CIE L*a*b* of linear RGB, white D65."""
    to_xyz = np.array(
        [
            [0.4124564, 0.3575761, 0.1804375],
            [0.2126729, 0.7151522, 0.0721750],
            [0.0193339, 0.1191920, 0.9503041],
        ]
    )
    xyz = to_xyz @ np.clip(rgb, 0, 1) / [0.95047, 1, 1.08883]
    x, y, z = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def closest(palette, sight):
    seen = {colour: lab(SIGHT[sight] @ linear(colour)) for colour in palette}
    return min(np.linalg.norm(seen[a] - seen[b]) for a, b in itertools.combinations(palette, 2))


def test_lab_and_contrast_are_what_they_are_called():
    assert lab(linear("white")) == pytest.approx([100, 0, 0], abs=0.02)
    assert lab(linear("red")) == pytest.approx([53.24, 80.09, 67.20], abs=0.05)
    assert contrast_on_white("black") == pytest.approx(21) and contrast_on_white(
        "white"
    ) == pytest.approx(1)


def test_colours_stand_out_from_the_white_plate():
    contrasts = [contrast_on_white(colour) for colour in PALETTE]
    assert min(contrasts[:4]) >= 3, (
        "the four colours that most figures do with are as strong as WCAG 2.1 asks of graphics"
    )
    assert min(contrasts) > 2.2 and sum(value < 3 for value in contrasts) == 2, (
        "orange and sky blue are the pale ones"
    )


@pytest.mark.parametrize("sight", SIGHT)
def test_colours_can_be_told_apart(sight):
    """A difference of 2.3 in L*a*b* is just noticeable; two thin lines need several times that."""
    assert closest(PALETTE, sight) > 15
    assert closest(["#009E73", "#7F7F7F"], "deuteranopia") < 15, (
        "a middle grey would not do: the measure can say no"
    )


# Panels


def test_dots_show_each_seed_the_mean_and_the_interval():
    _, ax = plt.subplots()
    palette = colors("a", "b")
    values = {"a": np.array([1.0, 2, 3, 4, 5]), "b": [2.0, 2.5, 2, 2.5, 2]}
    dots(ax, values, palette)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a", "b"]
    for row, (name, sample) in enumerate(values.items()):
        seeds, bar, centre = ax.lines[3 * row : 3 * row + 3]
        mean, low, high = interval(sample)
        assert list(seeds.get_xdata()) == list(sample) and set(seeds.get_ydata()) == {row}
        assert list(bar.get_xdata()) == [low, high] and list(centre.get_xdata()) == [mean]
        assert {line.get_color() for line in (seeds, bar, centre)} == {palette[name]}


def test_band_shows_mean_and_interval_at_each_point():
    _, ax = plt.subplots()
    values = np.random.default_rng(1).normal(size=(6, 4))
    band(ax, [1, 2, 3, 4], values, color=PALETTE[0], label="ours")
    assert (
        ax.lines[0].get_ydata() == pytest.approx(values.mean(0))
        and ax.lines[0].get_label() == "ours"
    )
    corners = ax.collections[0].get_paths()[0].vertices
    for place in range(4):
        _, low, high = interval(values[:, place])
        edge = corners[corners[:, 0] == place + 1, 1]
        assert (edge.min(), edge.max()) == pytest.approx((low, high))


def test_the_style_sets_what_the_book_relies_on():
    assert (
        plt.rcParams["svg.hashsalt"] == "unlabeled"
        and plt.rcParams["image.cmap"] == figures.SEQUENTIAL
    )
    cycle = plt.rcParams["axes.prop_cycle"].by_key()["color"]
    assert [matplotlib.colors.to_hex(colour).upper() for colour in cycle] == list(PALETTE)


def test_white_space_of_words_is_folded():
    plate = show(
        plt.figure(),
        alt="""A picture with words
        that go over   two lines of the source.""",
        caption="""Look
        here.""",
    )
    assert (
        plate.alt == "A picture with words that go over two lines of the source."
        and plate.caption == "Look here."
    )


def test_curves_draw_a_band_for_each_method():
    figure, axis = plt.subplots()
    values = {"a": np.random.default_rng(0).standard_normal((5, 3)), "b": np.ones((5, 3))}
    figures.curves(axis, [1, 10, 100], values, figures.colors("a", "b"), log=True)
    lines = axis.get_lines()
    assert [line.get_label() for line in lines] == ["a", "b"] and [
        line.get_color() for line in lines
    ] == list(figures.PALETTE[:2])
    np.testing.assert_allclose(lines[0].get_ydata(), values["a"].mean(0))
    assert axis.get_xscale() == "log" and [text.get_text() for text in axis.get_xticklabels()] == [
        "1",
        "10",
        "100",
    ]
    figures.legend_below(axis, columns=2)
    assert [text.get_text() for text in axis.get_legend().get_texts()] == ["a", "b"]
    plt.close(figure)


def test_a_gallery_shows_each_picture_once_and_no_axes():
    grey, coloured = np.eye(4), np.zeros((4, 4, 3))
    figure = figures.gallery(
        [grey, coloured, grey], ["one", "two"], columns=2, rows=["first", "second"], vmin=0
    )
    axes = figure.axes
    assert len(axes) == 4 and [len(axis.get_images()) for axis in axes] == [1, 1, 1, 0]
    assert (
        axes[0].get_title() == "one"
        and axes[2].get_title() == ""
        and axes[2].get_ylabel() == "second"
    )
    assert axes[0].get_images()[0].get_cmap().name == "gray_r" and all(
        not len(axis.get_xticks()) for axis in axes
    )
    plt.close(figure)
