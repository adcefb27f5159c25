"""The browser of the tests of the built site, and a page in it."""

import pytest


@pytest.fixture(scope="session")
def browser():
    from playwright.sync_api import sync_playwright
    from site_browser import CHROMIUM

    with sync_playwright() as driver:
        quiet = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=quiet)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser):
    """Opens a page of its own, which must do nothing wrong until the test ends."""
    from site_browser import DESK, Visit, open_page

    visit, contexts = Visit(), []

    def open_(where, **settings):
        contexts.append(browser.new_context(**{"viewport": DESK, "offline": True} | settings))
        return open_page(contexts[-1], where, visit)

    yield open_
    for context in contexts:
        context.close()
    assert (visit.errors, visit.failed, visit.foreign) == ([], [], [])
