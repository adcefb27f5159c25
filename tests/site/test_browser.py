"""The built site in a real browser, without a network: every page, the search, the references and the explorer.

Needs Chromium (Debian: `apt install chromium`); without it these tests are skipped, and say so.
"""

import json
import shutil
from dataclasses import dataclass, field
from functools import cache

import pytest
import torch
from playwright.sync_api import sync_playwright
from site_pages import PAGES, SITE, name

from ntkif import ihvp_influence, ntk, ntk_influence, ridge_fit
from ntkif.data import load
from ntkif.regression.flow import flow_without, kernel_flow
from ntkif.study import plots
from ntkif.study.pages.explorer import METHODS, RIDGES, TIMES

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
if CHROMIUM is None:
    pytest.skip("no Chromium on this machine: the site is not tested in a browser", allow_module_level=True)

DESK, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
# What a page shows, once its formulas are set and all of its images are read.
LOOK = """async () => {
  document.querySelectorAll("img").forEach(image => { image.loading = "eager"; });
  await (window.MathJax?.startup?.promise);
  await Promise.all([...document.images].map(image => image.decode().catch(() => null)));
  const sources = [...document.querySelectorAll(".math")];
  return {
    formulas: sources.length,
    unset: sources.filter(each => !each.querySelector("mjx-container svg")).map(each => each.textContent),
    wrong: [...document.querySelectorAll("[data-mml-node=merror]")].map(each => each.textContent),
    images: [...document.querySelectorAll("article img")].map(image => ({
      src: image.src, alt: image.alt, natural: image.naturalWidth, width: image.width, height: image.height,
      ratio: image.naturalWidth / image.naturalHeight,
      back: getComputedStyle(image).backgroundColor,
    })),
    previous: Boolean(document.querySelector("a.left-prev")),
    next: Boolean(document.querySelector("a.right-next")),
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


@dataclass
class Visit:
    """What a page did when it was opened, and what it looked like."""

    errors: list = field(default_factory=list)
    failed: list = field(default_factory=list)
    foreign: list = field(default_factory=list)
    look: dict = field(default_factory=dict)
    overflow: list = field(default_factory=list)
    cut: list = field(default_factory=list)
    dark: dict = field(default_factory=dict)


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as driver:
        quiet = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=quiet)
        yield chromium
        chromium.close()


def open_page(context, where: str, visit: Visit):
    page = context.new_page()
    page.on("console", lambda message: message.type in ("error", "warning") and visit.errors.append(message.text))
    page.on("pageerror", lambda error: visit.errors.append(str(error)))
    page.on("requestfailed", lambda request: visit.failed.append(request.url))
    page.on("request", lambda request: request.url.startswith(("file:", "data:")) or visit.foreign.append(request.url))
    page.goto(f"{SITE.as_uri()}/{where}")
    return page


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


@pytest.fixture
def page(browser):
    """Opens a page of its own, which must do nothing wrong until the test ends."""
    visit, contexts = Visit(), []

    def open_(where, **settings):
        contexts.append(browser.new_context(**{"viewport": DESK, "offline": True} | settings))
        return open_page(contexts[-1], where, visit)

    yield open_
    for context in contexts:
        context.close()
    assert (visit.errors, visit.failed, visit.foreign) == ([], [], [])


START = "index.html"  # leads on to the front page
every_page = pytest.mark.parametrize("where", [name(page) for page in PAGES if name(page) != START])


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


def test_most_pages_have_formulas_and_figures(visited):
    looks = {name(page): visited(name(page)).look for page in PAGES if page.parent.name == "notebooks"}
    assert sum(look["formulas"] > 0 for look in looks.values()) >= 0.9 * len(looks)
    assert sum(len(look["images"]) > 0 for look in looks.values()) >= 0.9 * len(looks)
    assert all(look["previous"] and look["next"] for look in looks.values())


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


# The explorer


@pytest.fixture(scope="module")
def truth():
    """The data set and, by ridge, what the package says of the influence at the end of training."""
    data = load("mini-mnist-sample")
    k_train_train, k_test_train = ntk(data.x_train), ntk(data.x_test, data.x_train)

    @cache
    def at_the_end(ridge: float) -> dict[str, torch.Tensor]:
        fit = ridge_fit(k_train_train, data.y_train, ridge)
        exact = ntk_influence(data.x_train, data.y_train, data.x_test, data.y_test, ridge)
        ihvp = ihvp_influence(fit, k_test_train, data.y_test)
        return dict(zip(METHODS, (exact, ihvp, ihvp / (1 - fit.leverage)), strict=True))

    return data, at_the_end


def setting(tab, test: int, ridge: int, time: int) -> int:
    """Set the controls, and return the row of the test image."""
    tab.locator(f'#explorer input[name=test][value="{test}"]').check(force=True)
    for control, value in (("Ridge λ", ridge), ("Time of training t", time)):
        tab.get_by_role("slider", name=control).fill(str(value))
    return tab.evaluate("index => window.ntkifExplorer.test[index][0]", test)


def listed(tab, kind: str) -> list[tuple[int, list[float]]]:
    """(row of the training image, the numbers beside its bars) of each image in a list, from the top."""
    found = []
    for item in tab.locator(f"#explorer [data-part={kind}] li").all():
        texts = item.locator(".value").all_text_contents()
        found.append((int(item.get_attribute("data-row")), [float(text.replace("−", "-")) for text in texts]))
    return found


@pytest.mark.parametrize(("test", "ridge"), [(1, 0), (9, 4), (14, 8)])
@pytest.mark.parametrize("method", METHODS)
def test_explorer_shows_the_right_neighbours_after_training(page, truth, test, ridge, method):
    tab, (_, at_the_end) = page("book/explorer.html"), truth
    row = setting(tab, test, ridge, len(TIMES) - 1)
    tab.get_by_label(method, exact=True).check()
    values = torch.stack([values[row] for values in at_the_end(RIDGES[ridge]).values()])
    ranked = values[METHODS.index(method)].argsort(descending=True)
    for kind, rows in (("helpful", ranked[:6]), ("harmful", ranked.flip(0)[:6])):
        shown = listed(tab, kind)
        assert [row for row, _ in shown] == rows.tolist()
        for row, numbers in shown:
            assert numbers == pytest.approx((1000 * values[:, row]).tolist(), rel=6e-3, abs=1e-9)


@pytest.mark.parametrize(("test", "ridge", "time"), [(3, 2, 2), (10, 6, 5)])
def test_explorer_shows_the_right_neighbours_in_training(page, truth, test, ridge, time):
    tab, (data, _) = page("book/explorer.html"), truth
    row = setting(tab, test, ridge, time)
    flow = kernel_flow(ntk(data.x_train), data.y_train, RIDGES[ridge])
    k_test_train = ntk(data.x_test[[row]], data.x_train)

    def loss(prediction):
        return float((prediction - data.y_test[row]).square().sum() / 2)

    for kind in ("helpful", "harmful"):
        shown = listed(tab, kind)
        values = [numbers[0] for _, numbers in shown]
        assert values == sorted(values, reverse=kind == "helpful") and len(shown) == 6
        left_out, numbers = shown[0]
        # Trained again without the image, which no formula for removals has a part in.
        again = flow_without(ntk(data.x_train), k_test_train, data.y_train, RIDGES[ridge], TIMES[time], [left_out])
        influence = loss(again) - loss(flow.predict(k_test_train, TIMES[time]))
        assert numbers == pytest.approx([1000 * influence], rel=6e-3)


def test_explorer_has_no_classic_estimate_before_the_end(page):
    tab = page("book/explorer.html")
    setting(tab, 0, 3, 4)
    assert tab.get_by_label("IHVP", exact=True).is_disabled()
    assert tab.get_by_label("rescaled IHVP").is_disabled()
    assert tab.get_by_text("there is no classic estimate").is_visible()
    assert tab.locator("#explorer [data-part=scores]").is_hidden()
    assert all(len(numbers) == 1 for _, numbers in listed(tab, "helpful"))
    setting(tab, 0, 3, len(TIMES) - 1)
    tab.get_by_label("IHVP", exact=True).check()
    setting(tab, 0, 3, 4)
    setting(tab, 0, 3, len(TIMES) - 1)
    assert tab.get_by_label("IHVP", exact=True).is_checked(), "the choice is kept for when there is one again"
    assert tab.locator("#explorer [data-part=scores]").is_visible()


def test_explorer_works_from_the_keyboard(page):
    tab = page("book/explorer.html")
    tab.get_by_role("slider", name="Ridge λ").focus()
    before = listed(tab, "helpful")
    tab.keyboard.press("End")
    assert tab.get_by_role("slider", name="Ridge λ").get_attribute("aria-valuetext") == f"λ = {max(RIDGES):g}"
    assert listed(tab, "helpful") != before
    reading = tab.get_by_role("status").inner_text()
    assert "stay" in reading, "what moved is said to those who cannot see it"
    tab.locator("#explorer input[name=test]:checked").focus()
    tab.keyboard.press("ArrowRight")
    assert tab.get_by_role("status").inner_text() != reading
    tab.keyboard.press("Tab")  # a group of radio buttons is one stop
    assert tab.evaluate("document.activeElement.name") == "ridge"


def test_explorer_says_how_images_move(page):
    tab = page("book/explorer.html")
    setting(tab, 5, 0, len(TIMES) - 1)
    before = [row for row, _ in listed(tab, "helpful")]
    tab.get_by_role("slider", name="Ridge λ").fill(str(len(RIDGES) - 1))
    after = [row for row, _ in listed(tab, "helpful")]
    marks = tab.locator("#explorer [data-part=helpful] .move").all_text_contents()
    for place, (row, mark) in enumerate(zip(after, marks, strict=True)):
        up = before.index(row) - place if row in before else None
        assert mark == {None: "new", 0: ""}.get(up, f"▲ up {up}" if up and up > 0 else f"▼ down {-(up or 0)}")
    assert len(set(marks)) > 1


def test_explorer_names_its_digits(page, truth):
    tab, (data, _) = page("book/explorer.html"), truth
    for picture in tab.get_by_role("img", name="training image").all():
        words = picture.get_attribute("aria-label").split()
        assert words[-1] == data.classes[data.labels_train[int(words[2].rstrip(","))]]
    assert tab.get_by_role("img", name="training image").count() == 12
    assert tab.get_by_role("radio", name="test image").count() == 20


def test_explorer_draws_the_pixels_of_its_digits(page, truth):
    """The first helpful digit, as the browser draws it, is the image that its label names."""
    tab, (data, _) = page("book/explorer.html"), truth
    item = tab.locator("#explorer [data-part=helpful] li").first
    row = int(item.get_attribute("data-row"))
    size = tab.evaluate(
        """async () => {
          const style = getComputedStyle(document.querySelector("#explorer [data-part=helpful] .digit"));
          const image = new Image(); image.src = style.backgroundImage.slice(5, -2); await image.decode();
          return [...style.backgroundPosition.split(" ").map(parseFloat), parseFloat(style.width), image.naturalWidth];
        }"""
    )
    x, y, side, width = size
    column, line = round(-x / side), round(-y / side)
    from matplotlib.image import imread

    sprite = imread(SITE / "_static" / "explorer" / "train.png")
    assert width == sprite.shape[1] == 32 * 28
    cut = sprite[28 * line : 28 * (line + 1), 28 * column : 28 * (column + 1)]
    assert (255 * (1 - cut)).round() == pytest.approx(data.images_train[row].astype(float))


def test_explorer_has_the_colours_of_the_book(page):
    tab = page("book/explorer.html")
    for index, method in enumerate(METHODS):
        color = tab.locator(f"#explorer .key.method-{index}").evaluate("key => getComputedStyle(key).backgroundColor")
        wanted = plots.COLORS[method].lstrip("#")
        assert color == "rgb({}, {}, {})".format(*(int(wanted[i : i + 2], 16) for i in (0, 2, 4)))


def test_explorer_is_a_picture_without_javascript(browser):
    context = browser.new_context(java_script_enabled=False, offline=True)
    tab = open_page(context, "book/explorer.html", Visit())  # which gives up the scripts that it would have read
    assert tab.locator("#explorer").is_hidden()
    assert tab.get_by_text("The explorer needs JavaScript").is_visible()
    assert tab.locator("#fig-explorer img").is_visible()
    context.close()


def test_what_the_page_says_to_try_is_so(page):
    data = page("book/explorer.html").evaluate("window.ntkifExplorer")
    states, last = data["states"], len(TIMES) - 1

    def best(state):
        """The most helpful images by the exact influence, in no order."""
        rank = (len(state["images"][0]) + 1) // 2
        return {image[0] for image in state["images"] if 1 <= image[rank] <= data["top"]}

    def own(time):
        """Mean share of the most helpful images, at the weakest ridge, that are of the test digit's class."""
        same = [
            [data["train"][i][1] == label for i in best(each[0][time])]
            for each, (_, label) in zip(states, data["test"], strict=True)
        ]
        return sum(map(sum, same)) / sum(map(len, same))

    scores = [[each[ridge][last]["scores"]["IHVP"] for each in states] for ridge in range(len(RIDGES))]
    assert max(score["slope"] for score in scores[0]) < 0.35 and min(score["slope"] for score in scores[-1]) > 0.95
    assert min(score[name] for row in scores for score in row for name in ("pearson", "spearman")) > 0.97
    assert own(0) == 1
    joined = [
        {data["train"][i][1] for i in best(each[0][last])} != {label}
        for each, (_, label) in zip(states, data["test"], strict=True)
    ]
    assert 8 <= sum(joined) <= 12
    assert all(each[0][0]["loss"] > 0.3 for each in states)
    assert all(best(each[-1][time]) == best(each[-1][last]) for each in states for time in range(3, last))
    largest = [max(abs(image[1]) for image in each[0][last]["images"]) for each in states]
    assert all(worst > median for median, worst in zip(largest[::2], largest[1::2], strict=True))


def test_explorer_data_are_light(page):
    folder = SITE / "_static" / "explorer"
    assert sum(file.stat().st_size for file in folder.iterdir()) < 700_000
    script = (folder / "data.js").read_text(encoding="utf-8")
    assert json.loads(script.partition("=")[2].strip().rstrip(";"))["methods"] == list(METHODS)
