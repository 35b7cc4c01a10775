"""The book's one figure style: colour-blind-safe, one colour per method, legible on light and dark pages, never without alt text."""

from __future__ import annotations

import base64
import html
import io

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.figure import Figure

# Okabe and Ito's colours (https://jfly.uni-koeln.de/color/), without the yellow that vanishes on a white plate. The first four
# have a contrast of 3 or more on white; orange and sky blue are paler, so they come late. The grey is dark: a middle grey is
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
    """Give each method one colour for a whole chapter: a dict from name to hex colour (at most 8 names)."""
    if len(methods) > len(PALETTE):
        raise ValueError(f"{len(methods)} methods, but only {len(PALETTE)} colours can be told apart: show fewer at once.")
    return dict(zip(methods, PALETTE))


class Plate:
    """A finished figure as a notebook shows it: a picture on a white plate, with alt text and a caption."""

    def __init__(self, png: bytes, width: int, alt: str, caption: str):
        self.png, self.width, self.alt, self.caption = png, width, alt, caption

    def _repr_html_(self):
        source = base64.b64encode(self.png).decode("ascii")
        return (
            f'<figure class="plate"><img class="dark-light" style="background:#fff;max-width:100%;height:auto" width="{self.width}" '
            f'alt="{html.escape(self.alt, quote=True)}" src="data:image/png;base64,{source}">'
            f"<figcaption>{html.escape(self.caption, quote=False)}</figcaption></figure>"
        )

    def __repr__(self):
        return f"Figure. {self.caption}\n{self.alt}"


def show(figure: Figure, *, alt: str, caption: str) -> Plate:
    """Close `figure` and return it as a picture with alt text and a caption (make it a cell's last expression).

    Parameters
    ----------
    alt : what the picture shows, for those who cannot see it: axes, methods, the shape of the result (40 characters or more)
    caption : one or two sentences that say what to look at

    Raises
    ------
    ValueError : if the alt text says next to nothing or the caption is empty
    """
    if len(alt.strip()) < 40:
        raise ValueError("A figure's alt text must describe what the picture shows: write 40 characters or more.")
    if not caption.strip():
        raise ValueError("A figure's caption must say what to look at: write one or two sentences.")
    dpi = plt.rcParams["savefig.dpi"]
    dpi = figure.dpi if dpi == "figure" else dpi
    buffer = io.BytesIO()
    # No software name or date in the file: the same numbers give the same bytes.
    figure.savefig(buffer, format="png", dpi=dpi, bbox_inches="tight", facecolor="white", metadata={"Software": None})
    plt.close(figure)
    png = buffer.getvalue()
    pixels = int.from_bytes(png[16:20], "big")
    return Plate(png, round(pixels / dpi * 96), alt.strip(), caption.strip())


def dots(ax, values: dict[str, np.ndarray], palette: dict[str, str], *, level: float = 0.95) -> None:
    """One row per method: each seed as a faint dot, their mean and Student-t interval on top.

    Parameters
    ----------
    ax : Matplotlib axes
    values : method name -> array of shape (seeds,)
    palette : method name -> colour
    """
    from unlabeled.claims import interval

    for row, (name, sample) in enumerate(values.items()):
        mean, low, high = interval(sample, level)
        ax.plot(sample, np.full(len(sample), row), "o", color=palette[name], alpha=0.3, markersize=5, markeredgewidth=0)
        ax.plot([low, high], [row, row], color=palette[name], linewidth=2.5)
        ax.plot(mean, row, "D", color=palette[name], markersize=7)
    ax.set_yticks(range(len(values)), list(values))
    ax.set_ylim(len(values) - 0.5, -0.5)
    ax.grid(axis="y", visible=False)


def band(ax, x, values, *, color: str, label: str, level: float = 0.95) -> None:
    """Mean over seeds as a line with its Student-t interval as a band.

    Parameters
    ----------
    x : array of shape (points,)
    values : array of shape (seeds, points)
    """
    from unlabeled.claims import interval

    mean, low, high = np.array([interval(column, level) for column in np.asarray(values).T]).T
    ax.plot(x, mean, "o-", color=color, label=label, markersize=4)
    ax.fill_between(x, low, high, color=color, alpha=0.18, linewidth=0)
