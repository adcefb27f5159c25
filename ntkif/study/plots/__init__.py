"""Figures draw and never compute: a table in, a figure out, a module for each topic, named as that of its experiments.
What all figures share is at the top.
"""

from ntkif.checks import require_extra

require_extra("study", "matplotlib", "pandas", "seaborn")

from ntkif.study.plots.style import (  # noqa: E402
    COLORS,
    density_of_pairs,
    error_bars,
    log_axis,
    log_ticks,
    panels,
    shared_legend,
    show_image,
    use_style,
)

__all__ = [
    "COLORS",
    "density_of_pairs",
    "error_bars",
    "log_axis",
    "log_ticks",
    "panels",
    "shared_legend",
    "show_image",
    "use_style",
]
