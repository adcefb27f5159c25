"""Figures draw and never compute: a table in, axes out. The style and what all figures share is at the top."""

from ntkif.checks import require_extra

require_extra("study", "matplotlib", "pandas", "seaborn")

from ntkif.study.plots.style import (  # noqa: E402
    COLORS,
    concentration,
    density_of_pairs,
    digits,
    error_bars,
    image_rows,
    kernel_values,
    likeness,
    log_axis,
    log_ticks,
    panels,
    ratio_by_residual,
    ratio_by_ridge,
    shared_legend,
    show_image,
    use_style,
    width_rate,
)

__all__ = [
    "COLORS",
    "concentration",
    "density_of_pairs",
    "digits",
    "error_bars",
    "image_rows",
    "kernel_values",
    "likeness",
    "log_axis",
    "log_ticks",
    "panels",
    "ratio_by_residual",
    "ratio_by_ridge",
    "shared_legend",
    "show_image",
    "use_style",
    "width_rate",
]
