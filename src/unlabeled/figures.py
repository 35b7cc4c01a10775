"""The book's one figure style: colour-blind-safe, one colour per method, legible on light and dark
pages, never without alt text.
"""

from __future__ import annotations

import base64
import html
import io

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.figure import Figure

# Okabe and Ito's colours (https://jfly.uni-koeln.de/color/), without the yellow that vanishes on a
# white plate. The first four
# have a contrast of 3 or more on white; orange and sky blue are paler, so they come late. The grey
# is dark: a middle grey is
# hard to tell from the green without the sense of green.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#555555")
SEQUENTIAL = "cividis"
DIVERGING = "RdBu_r"


def use_style() -> None:
    """Set the book's Matplotlib style: call it once, beside the imports."""
    sns.set_theme(
        context="notebook",
        style="ticks",
        palette=PALETTE,
        rc={
            "figure.figsize": (7.0, 3.8),
            "figure.dpi": 110,
            "savefig.dpi": 160,
            "figure.facecolor": "white",
            "axes.spines.right": False,
            "axes.spines.top": False,
            "axes.grid": True,
            "grid.color": "#E6E6E6",
            "grid.linewidth": 0.6,
            "axes.titleweight": "bold",
            "axes.titlesize": 11,
            "axes.titlelocation": "left",
            "axes.labelsize": 10,
            "xtick.labelsize": 9,
            "ytick.labelsize": 9,
            "legend.frameon": False,
            "legend.fontsize": 9,
            "lines.linewidth": 1.8,
            "image.cmap": SEQUENTIAL,
            "svg.hashsalt": "unlabeled",
        },
    )


def colors(*methods: str) -> dict[str, str]:
    """Give each method one colour for a whole chapter: a dict from name to hex colour (at most 8
    names).
    """
    if len(methods) > len(PALETTE):
        raise ValueError(
            f"{len(methods)} methods, but only {len(PALETTE)} colours can be told apart: show fewer"
            " at once."
        )
    return dict(zip(methods, PALETTE))


class Plate:
    """A finished figure as a notebook shows it: a picture on a white plate, with alt text and a
    caption.
    """

    def __init__(self, png: bytes, width: int, alt: str, caption: str):
        self.png, self.width, self.alt, self.caption = png, width, alt, caption

    def _repr_html_(self):
        source = base64.b64encode(self.png).decode("ascii")
        return (
            '<figure class="plate"><img class="dark-light"'
            f' style="background:#fff;max-width:100%;height:auto" width="{self.width}" '
            f'alt="{html.escape(self.alt, quote=True)}" src="data:image/png;base64,{source}">'
            f"<figcaption>{html.escape(self.caption, quote=False)}</figcaption></figure>"
        )

    def __repr__(self):
        return f"Figure. {self.caption}\n{self.alt}"


def show(figure: Figure, *, alt: str, caption: str) -> Plate:
    """Close `figure` and return it as a picture with alt text and a caption (make it a cell's last
    expression).

    Parameters
    ----------
    alt, caption : white space is folded, so both may be triple-quoted over several lines
    alt : what the picture shows, for those who cannot see it: axes, methods, the shape of the
    result (40 characters or more)
    caption : one or two sentences that say what to look at

    Raises
    ------
    ValueError : if the alt text says next to nothing or the caption is empty
    """
    if len(alt.strip()) < 40:
        raise ValueError(
            "A figure's alt text must describe what the picture shows: write 40 characters or more."
        )
    if not caption.strip():
        raise ValueError("A figure's caption must say what to look at: write one or two sentences.")
    dpi = plt.rcParams["savefig.dpi"]
    dpi = figure.dpi if dpi == "figure" else dpi
    buffer = io.BytesIO()
    # No software name or date in the file: the same numbers give the same bytes.
    figure.savefig(
        buffer,
        format="png",
        dpi=dpi,
        bbox_inches="tight",
        facecolor="white",
        metadata={"Software": None},
    )
    plt.close(figure)
    png = buffer.getvalue()
    pixels = int.from_bytes(png[16:20], "big")
    return Plate(png, round(pixels / dpi * 96), " ".join(alt.split()), " ".join(caption.split()))


def dots(
    axis, values: dict[str, np.ndarray], palette: dict[str, str], *, level: float = 0.95
) -> None:
    """One row per method: each seed as a faint dot, their mean and Student-t interval on top.

    Parameters
    ----------
    axis : Matplotlib axes
    values : method name -> array of shape (seeds,)
    palette : method name -> colour
    """
    from unlabeled.claims import interval

    for row, (name, sample) in enumerate(values.items()):
        mean, low, high = interval(sample, level)
        axis.plot(
            sample,
            np.full(len(sample), row),
            "o",
            color=palette[name],
            alpha=0.3,
            markersize=5,
            markeredgewidth=0,
        )
        axis.plot([low, high], [row, row], color=palette[name], linewidth=2.5)
        axis.plot(mean, row, "D", color=palette[name], markersize=7)
    axis.set_yticks(range(len(values)), list(values))
    axis.set_ylim(len(values) - 0.5, -0.5)
    axis.grid(axis="y", visible=False)


def band(axis, x, values, *, color: str, label: str, level: float = 0.95) -> None:
    """Mean over seeds as a line with its Student-t interval as a band.

    Parameters
    ----------
    x : array of shape (points,)
    values : array of shape (seeds, points)
    """
    from unlabeled.claims import interval

    mean, low, high = np.array([interval(column, level) for column in np.asarray(values).T]).T
    axis.plot(x, mean, "o-", color=color, label=label, markersize=4)
    axis.fill_between(x, low, high, color=color, alpha=0.18, linewidth=0)


def curves(
    axis, x, values: dict[str, np.ndarray], palette: dict[str, str], *, log: bool = False
) -> None:
    """One `band` for each method.

    Parameters
    ----------
    x : array of shape (points,)
    values : method name -> array of shape (seeds, points)
    palette : method name -> colour
    log : whether the x axis is logarithmic, with a tick at each point
    """
    for name, sample in values.items():
        band(axis, x, sample, color=palette[name], label=name)
    if log:
        axis.set_xscale("log")
        axis.set_xticks(x, [f"{value:g}" for value in x])
        axis.minorticks_off()


def legend_below(axis, columns: int = 3, drop: float = 0.2) -> None:
    """The legend of `axis` under its plot, where it hides nothing; `drop` is the gap in heights of
    the plot.
    """
    axis.legend(loc="upper center", bbox_to_anchor=(0.5, -drop), ncols=columns)


def gallery(
    images, titles=None, *, columns: int | None = None, size: float = 1.0, rows=None, **shown
) -> Figure:
    """Pictures side by side, without axes, row by row.

    Parameters
    ----------
    images : sequence of arrays of shape (height, width) or (height, width, 3)
    titles : one for each picture, or fewer (those of the first row), or None
    columns : how many stand in a row; all if left out
    size : inches of one picture
    rows : a name for each row, written at its left, or None
    shown : passed on to Matplotlib's ``imshow``; grey pictures get ``cmap="gray_r"`` unless it says
    otherwise
    """
    columns = columns or len(images)
    count = -(-len(images) // columns)
    figure, axes = plt.subplots(
        count,
        columns,
        squeeze=False,
        figsize=(size * columns, (size + 0.22 * bool(titles)) * count),
    )
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
        axis.set_frame_on(False)
    for place, (axis, image) in enumerate(zip(axes.flat, images)):
        image = np.asarray(image)
        axis.imshow(image, **({"cmap": "gray_r"} if image.ndim == 2 else {}) | shown)
        if titles is not None and place < len(titles):
            axis.set_title(titles[place], fontsize=9, loc="center", weight="normal")
    for axis, name in zip(axes[:, 0], rows or []):
        axis.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=9)
    figure.tight_layout(pad=0.3)
    return figure
