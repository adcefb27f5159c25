"""The front page in a real browser: its first screen, and the picture that moves with the ridge.

Needs Chromium (Debian: `apt install chromium`); without it these tests are skipped, and say so.
"""

import re

import pytest
from site_browser import PHONE, Visit, open_page, rgb

from ntkif.study import plots
from ntkif.study.pages.claims import VERDICTS
from ntkif.study.pages.explorer import METHODS, RIDGES
from ntkif.study.pages.scoreboard import DEFINITION

WAYS = ("explorer.html", "notebooks/trained-network.html", "setting.html")


def drawn(tab) -> dict[str, float]:
    """Slope of each series on the screen through the origin, one on the diagonal."""
    lines = {
        name: [(float(x), float(y)) for x, y in re.findall(r"[ML]([-\d.]+) ([-\d.]+)", path)]
        for name, path in tab.evaluate(
            """() => Object.fromEntries([...document.querySelectorAll("#front path[d]")].map(
                 path => [path.dataset.method ?? path.dataset.part, path.getAttribute("d")]))"""
        ).items()
    }
    (left, bottom), (right, top) = lines["diagonal"]
    low, high = -0.55, 1.08  # of the axes, see book/_static/front.js
    slopes = {}
    for name in METHODS[1:]:
        x = [low + (high - low) * (a - left) / (right - left) for a, _ in lines[name]]
        y = [low + (high - low) * (b - bottom) / (top - bottom) for _, b in lines[name]]
        slopes[name] = sum(map(float.__mul__, x, y)) / sum(a * a for a in x)
    return slopes


def test_first_screen_has_finding_ways_and_picture(page):
    tab = page("book/index.html", viewport={"width": 1300, "height": 900})
    seen = [tab.locator("p.finding"), *tab.locator(".ways .sd-card").all(), tab.get_by_role("slider")]
    assert len(seen) == 5
    for each in seen:
        box = each.bounding_box()
        assert box["y"] + box["height"] < 900
    assert tab.get_by_text("executes all pages again").bounding_box()["y"] < 900
    for card, target in zip(tab.locator(".ways a").all(), WAYS, strict=True):
        assert card.get_attribute("href").endswith(target)


def test_front_picture_turns_with_the_ridge(page):
    tab = page("book/index.html", reduced_motion="reduce")
    states = tab.evaluate("window.ntkifFront.states")
    slider = tab.get_by_role("slider")
    slider.focus()
    for place, key in ((0, "Home"), (1, "ArrowRight"), (len(states) - 1, "End")):
        tab.keyboard.press(key)
        state, slopes = states[place], drawn(tab)
        assert slider.get_attribute("aria-valuetext") == f"λ = {RIDGES[place]:g}"
        for name in METHODS[1:]:
            assert slopes[name] == pytest.approx(state["scores"][name]["slope"], abs=0.01)
        said = tab.locator("#front").get_by_role("status").inner_text()
        assert f"{state['scores']['IHVP']['slope']:.2f} times the truth" in said
        assert tab.locator("#front .digit").count() == 9


def test_front_picture_moves_and_comes_to_rest(page):
    tab = page("book/index.html", reduced_motion="no-preference")
    tab.get_by_role("slider").fill(str(len(RIDGES) - 1))
    wanted = tab.evaluate("window.ntkifFront.states.at(-1).scores.IHVP.slope")
    assert drawn(tab)["IHVP"] < wanted - 0.05, "on its way"
    tab.wait_for_timeout(900)
    assert drawn(tab)["IHVP"] == pytest.approx(wanted, abs=0.01)


def test_what_the_front_page_says_is_so(page):
    states = page("book/index.html").evaluate("window.ntkifFront.states")
    classic, rescaled = ([state["scores"][name] for state in states] for name in METHODS[1:])
    assert min(score["spearman"] for score in classic) > 0.99, "the order is right"
    assert classic[0]["slope"] < 0.35 and classic[-1]["slope"] > 0.95, "the size is wrong, at a weak ridge"
    assert all(abs(state["foretold"] - score["slope"]) < 0.04 for state, score in zip(states, classic, strict=True))
    assert all(abs(score["slope"] - 1) < 0.05 for score in rescaled)


def test_front_page_has_the_colours_of_the_book(page):
    tab = page("book/index.html")
    for name in METHODS[1:]:
        stroke = tab.locator(f'#front path[data-method="{name}"]').evaluate("path => getComputedStyle(path).stroke")
        assert stroke == rgb(plots.COLORS[name])
    colors = (plots.COLORS["helpful"], plots.COLORS["other class"], plots.COLORS["harmful"], "#BBBBBB")
    assert len(set(colors)) == 4
    for verdict, color in zip((*VERDICTS, DEFINITION), colors, strict=True):
        marks = tab.locator(f".mark.{verdict.replace(' ', '-')}")
        assert marks.first.evaluate("mark => getComputedStyle(mark).backgroundColor") == rgb(color)


def test_front_page_is_whole_without_javascript(browser):
    context = browser.new_context(java_script_enabled=False, offline=True)
    tab = open_page(context, "book/index.html", Visit())
    assert tab.locator("#front").is_hidden() and tab.locator("#fig-front img").is_visible()
    context.close()


def test_front_picture_is_whole_on_a_phone(page):
    tab = page("book/index.html", viewport=PHONE)
    for part in ("svg", "input", "[data-part=helpful]"):
        box = tab.locator(f"#front {part}").bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= PHONE["width"]
