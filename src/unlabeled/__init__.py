"""Helpers that the chapters of *Learning without Labels* import.

Small on purpose: seeding and settings (`runtime`), data (`data`), tests and verdicts (`claims`), the figure style
(`figures`) and self-checking exercises (`exercises`). The methods themselves stand in the chapters.
"""

__version__ = "0.1.0"
