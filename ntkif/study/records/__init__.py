"""What is kept: tables with their witnesses, what benchmarks measured, and whether today's code still gives both."""

from ntkif.checks import require_extra

require_extra("study", "pandas")
