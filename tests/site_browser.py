"""A real browser for the tests of the built site, and what it heard while a page was open.

Needs Chromium (Debian: `apt install chromium`); without it the tests that import this are skipped, and say so.
"""

import shutil
from dataclasses import dataclass, field

import pytest
from site_pages import SITE

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
if CHROMIUM is None:
    pytest.skip("no Chromium on this machine: the site is not tested in a browser", allow_module_level=True)

DESK, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


@dataclass
class Visit:
    """What a page did when it was opened, and what it looked like."""

    asked: set = field(default_factory=set)
    errors: list = field(default_factory=list)
    failed: list = field(default_factory=list)
    foreign: list = field(default_factory=list)
    look: dict = field(default_factory=dict)
    overflow: list = field(default_factory=list)
    cut: list = field(default_factory=list)
    dark: dict = field(default_factory=dict)


def open_page(context, where: str, visit: Visit):
    page = context.new_page()
    page.on("console", lambda message: message.type in ("error", "warning") and visit.errors.append(message.text))
    page.on("pageerror", lambda error: visit.errors.append(str(error)))
    page.on("requestfailed", lambda request: visit.failed.append(request.url))
    page.on("request", lambda request: visit.asked.add(request.url))
    page.on("request", lambda request: request.url.startswith(("file:", "data:")) or visit.foreign.append(request.url))
    page.goto(f"{SITE.as_uri()}/{where}")
    return page


def rgb(color: str) -> str:
    """A colour like #D55E00 as a browser says it."""
    return "rgb({}, {}, {})".format(*(int(color.lstrip("#")[i : i + 2], 16) for i in (0, 2, 4)))
