"""Helpers that the chapters of *Learning without Labels* import.

Small on purpose: one run and its seeds (`runtime`), data (`data`), many small networks as one
(`networks`, `transformers`), drawn characters (`glyphs`), the training loop (`training`), probes
and scores (`evaluation`), tests and verdicts (`claims`, drawn by `ledger_view`), the figure style
(`figures`) and self-checking exercises (`exercises`). The methods themselves stand in the chapters.
"""

__version__ = "0.1.0"
