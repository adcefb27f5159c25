"""What the pages say: claims and their verdicts, the scoreboard, the explorer, and what the prose pages show."""

from ntkif.checks import require_extra

require_extra("study", "matplotlib", "pandas")
