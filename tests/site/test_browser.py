"""The built site in a real browser, without a network: every page, on a phone and on paper too, and the search.

Needs Chromium (Debian: `apt install chromium`); without it these tests are skipped, and say so.
"""

from functools import cache
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

import pytest
from site_browser import DESK, PHONE, Visit, open_page
from site_pages import PAGES, SITE, name

# What a page shows, once its formulas are set and all of its images are read.
LOOK = """async () => {
  document.querySelectorAll("img").forEach(image => { image.loading = "eager"; });
  await (window.MathJax?.startup?.promise);
  await Promise.all([...document.images].map(image => image.decode().catch(() => null)));
  const sources = [...document.querySelectorAll(".math")];
  return {
    blank: [...document.querySelectorAll("mjx-container g:empty")]
      .filter(each => /^m[ino]$/.test(each.dataset.mmlNode) && !each.matches("[data-mml-node=mtd] > :first-child"))
      .map(each => each.closest(".math").textContent),
    unset: sources.filter(each => !each.querySelector("mjx-container svg")).map(each => each.textContent),
    wrong: [...document.querySelectorAll("[data-mml-node=merror]")].map(each => each.textContent),
    images: [...document.querySelectorAll("article img")].map(image => ({
      src: image.src, alt: image.alt, natural: image.naturalWidth, width: image.width, height: image.height,
      ratio: image.naturalWidth / image.naturalHeight,
      back: getComputedStyle(image).backgroundColor,
    })),
  };
}"""

# How wide a page is and may be, once what a change of its size sets in motion has come to rest.
WIDTHS = """async () => {
  const frame = () => new Promise(requestAnimationFrame);
  await frame();
  await frame();
  await Promise.all(document.getAnimations().map(motion => motion.finished.catch(() => null)));
  return [document.documentElement.scrollWidth, innerWidth];
}"""
# Formulas whose beginning, or whose end where nothing scrolls, is out of reach.
CUT = """() => [...document.querySelectorAll("article .math mjx-container")].filter(formula => {
  const scrolls = each => /auto|scroll/.test(getComputedStyle(each).overflowX);
  let around = formula.parentElement;
  while (around && !scrolls(around)) around = around.parentElement;
  const box = formula.getBoundingClientRect();
  const drawn = scrolls(formula) ? box : formula.querySelector("svg").getBoundingClientRect();
  const start = around ? around.getBoundingClientRect().left : 0;
  return box.width > 0 && (drawn.left < start - 1 || (!around && drawn.right > innerWidth + 1));
}).map(formula => formula.parentElement.textContent.slice(0, 80))"""


@pytest.fixture(scope="module")
def visited(browser):
    """Page -> `Visit`; each page is opened once, offline, and looked at by several tests."""

    @cache
    def see(where: str) -> Visit:
        visit = Visit()
        context = browser.new_context(viewport=DESK, offline=True)
        page = open_page(context, where, visit)
        page.wait_for_load_state("load")
        visit.look = page.evaluate(LOOK)
        page.set_viewport_size(PHONE)
        visit.overflow = page.evaluate(WIDTHS)
        visit.cut = page.evaluate(CUT)
        page.emulate_media(color_scheme="dark")
        page.wait_for_function("document.documentElement.dataset.theme === 'dark'")
        visit.dark = page.evaluate(
            """() => ({page: getComputedStyle(document.body).backgroundColor,
                       images: [...document.querySelectorAll("article img")].map(
                         image => getComputedStyle(image).backgroundColor)})"""
        )
        context.close()
        return visit

    return see


@pytest.fixture(scope="module")
def unscripted(browser):
    """A tab of a browser that runs no scripts, for one page after the other."""
    context = browser.new_context(java_script_enabled=False, offline=True, viewport=DESK)
    yield context.new_page()
    context.close()


START = "index.html"  # leads on to the front page
OTHERS = [name(page) for page in PAGES if name(page) != START]
# With pytest -n 2 --dist loadgroup all of a page is asked in one process, which opens it once.
every_page = pytest.mark.parametrize(
    "where", [pytest.param(where, marks=pytest.mark.xdist_group(where)) for where in OTHERS]
)


def brightness(color: str) -> float:
    """Mean of red, green and blue, from 0 to 1, of a colour as a browser computes it."""
    numbers = [float(part) for part in color[color.index("(") + 1 : -1].split(",")]
    assert len(numbers) == 3 or numbers[3] == 1, f"transparent: {color}"
    return sum(numbers[:3]) / 3 / 255


@every_page
def test_page_loads_in_silence_and_asks_no_other_host(visited, where):
    visit = visited(where)
    assert (visit.errors, visit.failed, visit.foreign) == ([], [], [])


@every_page
def test_formulas_are_typeset(visited, where):
    look = visited(where).look
    assert (look["unset"], look["wrong"]) == ([], [])
    assert look["blank"] == [], "symbols without an outline; add them to SYMBOLS in book/_ext/offline.py"


@every_page
def test_figures_are_whole_sharp_and_described(visited, where):
    for image in visited(where).look["images"]:
        assert len(image["alt"]) > 40, image
        assert image["width"] > 200, image
        assert image["ratio"] == pytest.approx(image["width"] / image["height"], rel=0.02), image
        assert image["src"].endswith(".svg") or image["natural"] > 1.9 * image["width"], image


@every_page
def test_page_fits_a_phone(visited, where):
    scrolled, inner = visited(where).overflow
    assert scrolled <= inner
    assert visited(where).cut == []


@every_page
def test_figures_stay_on_white_in_the_dark_theme(visited, where):
    dark = visited(where).dark
    assert brightness(dark["page"]) < 0.3
    assert all(brightness(back) > 0.7 for back in dark["images"])


@every_page
def test_page_is_light_with_all_that_it_shows(visited, where):
    """What a browser reads to show it, scripts, letters and pictures, is below 1.5 MB."""
    files = {Path(unquote(urlsplit(url).path)) for url in visited(where).asked if url.startswith("file:")}
    weights = {file: file.stat().st_size for file in files}
    assert sum(weights.values()) < 1_500_000, weights


@every_page
def test_folds_open_from_the_keyboard_and_without_javascript(unscripted, where):
    tab = unscripted
    tab.goto(f"{SITE.as_uri()}/{where}")
    folds = tab.locator("article details:not(details details)")
    for fold in folds.all()[:3]:
        inside = fold.locator(":scope > :not(summary)").first
        assert not inside.is_visible()
        fold.locator(":scope > summary").focus()
        tab.keyboard.press("Enter")
        assert inside.is_visible()
        tab.keyboard.press("Enter")


def test_there_are_folds():
    assert sum("<details" in page.read_text(encoding="utf-8") for page in PAGES) >= 20


# What is wider than its box on paper, whose text width at the usual margins is that of A4 in pixels.
PAPER = {"width": 718, "height": 1000}
WIDER = """() => [...document.querySelectorAll("article table, article pre, article img, article svg")].filter(each => {
  const [box, page] = [each.getBoundingClientRect(), document.querySelector("article").getBoundingClientRect()];
  const wider = box.right > page.right + 2 || each.scrollWidth > each.clientWidth + 2;
  return each.checkVisibility() && box.width > 0 && wider && !each.closest("mjx-assistive-mml");
}).map(each => `${each.tagName} ${each.scrollWidth} in ${each.clientWidth}: ${each.textContent.slice(0, 60)}`)"""


@pytest.mark.parametrize("where", ["scoreboard", "against-other-tools", "theorem-3-regularization"])
def test_paper_cuts_no_column(page, where):
    tab = page(f"notebooks/{where}.html", viewport=PAPER)
    tab.emulate_media(media="print")
    tab.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true; })")
    assert tab.evaluate(LOOK)["unset"] == [] and tab.evaluate(WIDER) == []
    assert len(tab.pdf(format="A4")) > 50_000


def test_what_scrolls_says_so(page):
    tab = page("notebooks/against-other-tools.html", viewport=PHONE)
    box = tab.locator("article .more-right").first
    box.evaluate("box => { box.dataset.looked = 1; box.scrollLeft = box.scrollWidth; }")
    box = tab.locator("article [data-looked]")
    tab.wait_for_function("!document.querySelector('[data-looked]').classList.contains('more-right')")
    assert "more-left" in box.get_attribute("class")
    assert box.evaluate("box => box.tabIndex") == 0, "without a mouse it scrolls by the arrow keys"


def test_start_leads_to_the_front_page(page):
    page(START).wait_for_url("**/book/index.html")


def test_search_finds_a_word_and_its_result_opens(page):
    tab = page("search.html?q=talbot")
    results = tab.locator("#search-results li a")
    results.first.wait_for()
    assert "along training" in " ".join(results.all_text_contents())
    results.first.click()
    tab.wait_for_load_state()
    assert "talbot" in tab.locator("article").inner_text().lower()


@pytest.mark.parametrize("function", ["ntk_influence", "record_training", "influence_along"])
def test_search_for_a_function_finds_its_entry_first(page, function):
    tab = page(f"search.html?q={function}")
    first = tab.locator("#search-results li a").first
    first.wait_for()
    assert first.get_attribute("href").endswith(f".{function}") and "/api/" in first.get_attribute("href")


@pytest.mark.parametrize(
    "words", ["adam", "mini-batch", "minibatch", "mislabeled", "label error", "PyTorch", "cross-entropy"]
)
def test_search_in_words_of_practice_finds_the_page_for_it(page, words):
    tab = page(f"search.html?q={quote(words)}")
    tab.locator('#search-results li a[href*="notebooks/trained-network.html"]').first.wait_for()


def test_search_box_leads_to_results(page):
    tab = page("book/index.html")
    tab.keyboard.press("Control+k")
    tab.keyboard.type("leverage")
    tab.keyboard.press("Enter")
    tab.locator("#search-results li a").first.wait_for()


@pytest.mark.parametrize(
    ("where", "link", "target"),
    [
        ("notebooks/equation-4-kernel.html", 'article a[href$="#eq-4"]', "eq-4"),
        ("notebooks/theorem-3-regularization.html", 'article a[href*="#term-leverage"]', "term-leverage"),
        ("notebooks/lazy-regime.html", 'article a.reference[href*="references.html#id"]', None),
    ],
    ids=["equation", "term", "citation"],
)
def test_cross_reference_leads_to_its_target(page, where, link, target):
    tab = page(where)
    reference = tab.locator(link).first
    target = target or reference.get_attribute("href").partition("#")[2]
    there = reference.evaluate("link => link.href")
    reference.click()
    tab.wait_for_url(there)
    tab.wait_for_function("id => document.getElementById(id)?.getBoundingClientRect().top < innerHeight", arg=target)


def test_theme_can_be_switched(page):
    tab = page("book/index.html", color_scheme="light")
    seen = set()
    for _ in range(3):
        tab.locator("button.theme-switch-button:visible").first.click()
        seen.add(tab.evaluate("document.documentElement.dataset.theme"))
    assert seen == {"light", "dark"}
