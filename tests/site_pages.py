"""The pages of the built site, for the tests in this folder."""

from pathlib import Path

import pytest

SITE = Path(__file__).parents[1] / "_build" / "html"
MOVED = "<title>This page has moved</title>"  # of book/_ext/redirect.html; test_redirects.py looks at those
PAGES = sorted(
    page for page in SITE.rglob("*.html") if "_static" not in page.parts and MOVED not in page.read_text("utf-8")
)
if not PAGES:
    pytest.skip("the site is not built: run `make book`", allow_module_level=True)


def name(page: Path) -> str:
    """A page as the tests call it."""
    return str(page.relative_to(SITE))
