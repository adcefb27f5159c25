"""The page of a report in a real browser: without a network, without scripts, in light, in dark and on a phone.

Needs Chromium (Debian: `apt install chromium`); without it these tests are skipped, and say so.
"""

import pytest
from report_source import write_images, write_table
from site_browser import PHONE

from ntkif.report.command import write_report

DESK = {"width": 1100, "height": 900}


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reports")
    write_report(write_table(folder), folder / "table.html", target="kind", top=6)
    write_report(write_images(folder), folder / "images.html", top=6)
    return folder


@pytest.fixture
def page(browser, reports):
    contexts = []

    def opened(name, **options):
        contexts.append(browser.new_context(offline=True, **({"viewport": DESK} | options)))
        tab = contexts[-1].new_page()
        tab.complaints = []
        tab.on("console", lambda message: tab.complaints.append(message.text))
        tab.on("request", lambda request: tab.complaints.append(request.url))
        tab.goto((reports / f"{name}.html").as_uri())
        return tab

    yield opened
    for context in contexts:
        context.close()


@pytest.mark.parametrize("name", ["table", "images"])
@pytest.mark.parametrize("viewport", [DESK, PHONE], ids=["desk", "phone"])
def test_it_fits_and_asks_for_nothing(page, name, viewport):
    tab = page(name, viewport=viewport)
    widths = tab.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert widths[0] == widths[1] == viewport["width"]
    asked = [each for each in tab.complaints if not each.startswith(("data:image/png;base64,", "file:"))]
    assert asked == [] and sum(each.startswith("file:") for each in tab.complaints) == 1
    broken = "[...document.images].filter(image => !image.naturalWidth).length"
    assert tab.evaluate(broken) == 0 and (tab.evaluate("document.images.length") > 0) == (name == "images")


def test_pictures_and_words_do_not_overlap(page):
    tab = page("images", viewport=PHONE)
    overlaps = """[...document.querySelectorAll(".row")].filter(row => {
      const [picture, words] = [...row.children].map(each => each.getBoundingClientRect());
      return picture.right > words.left || row.querySelector("img").getBoundingClientRect().right > words.left;
    }).length"""
    assert tab.evaluate(overlaps) == 0 and tab.locator(".row").count() == 6


def test_dark_and_light_follow_the_reader(page):
    ink, paper = (
        [
            page("table", color_scheme=scheme).evaluate(f"getComputedStyle(document.body).{what}")
            for scheme in ("light", "dark")
        ]
        for what in ("color", "backgroundColor")
    )
    assert len({*ink, *paper}) == 4


def test_it_works_without_scripts_and_from_the_keyboard(page):
    tab = page("table", java_script_enabled=False)
    values = tab.locator("ol.cards details").first
    assert not values.get_by_role("table").is_visible()
    values.locator("summary").focus()
    tab.keyboard.press("Enter")
    assert values.get_by_role("table").is_visible()
    tab.get_by_role("link", name="What removing the worst does").click()
    assert tab.url.endswith("#removal")
    assert tab.get_by_role("region", name="Leave-one-out loss of the rows that are left").is_visible()
