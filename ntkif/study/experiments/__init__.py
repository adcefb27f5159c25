"""Experiments compute and never draw: settings in, a tidy table out, one topic a module. Each is registered where it is
written; `catalogue` gathers them.
"""

from ntkif.checks import require_extra

require_extra("study", "pandas", "scipy")
