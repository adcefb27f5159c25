"""The influence explorer in a real browser, against the package.

Needs Chromium (Debian: `apt install chromium`); without it these tests are skipped, and say so.
"""

import json
from functools import cache

import pytest
import torch
from site_browser import PHONE, Visit, open_page, rgb
from site_pages import SITE

from ntkif import ihvp_influence, ntk, ntk_influence, ridge_fit
from ntkif.data import load
from ntkif.regression.flow import flow_without, kernel_flow
from ntkif.study import plots
from ntkif.study.pages.explorer import METHODS, RIDGES, TIMES


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
        assert color == rgb(plots.COLORS[method])


def test_explorer_shows_the_chosen_digit_large(page, truth):
    tab, (data, _) = page("book/explorer.html"), truth
    row = setting(tab, 7, 2, 3)
    picture = tab.get_by_role("img", name="the chosen digit")
    assert picture.get_attribute("aria-label").endswith(f"test image {row}, a {data.classes[data.labels_test[row]]}")
    assert picture.bounding_box()["width"] > 60


def test_explorer_keeps_its_state_in_the_address(page):
    tab = page("book/explorer.html")
    row = setting(tab, 6, 3, len(TIMES) - 1)
    tab.get_by_label("rescaled IHVP").check()
    address, shown = tab.url, listed(tab, "harmful")
    assert address.endswith(f"#digit-{row}-ridge-0_5-time-end-by-rescaled_IHVP")
    again = page(f"book/explorer.html#{address.partition('#')[2]}")
    assert listed(again, "harmful") == shown and again.get_by_label("rescaled IHVP").is_checked()
    again.evaluate(f"location.hash = 'digit-{row}-ridge-16'")
    again.wait_for_function("document.querySelector('#explorer [data-part=ridge]').textContent === 'λ = 16'")
    unknown = page("book/explorer.html#digit-none-ridge-7")
    assert unknown.get_by_role("slider", name="Ridge λ").get_attribute("aria-valuetext") == f"λ = {min(RIDGES):g}"


def test_explorer_controls_stay_on_a_phone(page):
    tab = page("book/explorer.html", viewport=PHONE)
    tab.locator("#explorer [data-part=harmful] li").last.scroll_into_view_if_needed()
    for name in ("Ridge λ", "Time of training t"):
        box = tab.get_by_role("slider", name=name).bounding_box()
        assert 0 < box["y"] < PHONE["height"] / 3
        assert tab.evaluate("([x, y]) => document.elementFromPoint(x, y).name", [box["x"] + 9, box["y"] + 9])
    table = tab.locator("#explorer [data-part=scores] table").bounding_box()
    assert table["x"] + table["width"] <= PHONE["width"]


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


def test_what_the_solutions_of_its_exercises_say_is_so(page):
    data = page("book/explorer.html").evaluate("window.ntkifExplorer")
    slopes, replaced = [], []
    for ridge in (0, -1):
        ends = [each[ridge][-1] for each in data["states"]]
        slopes.append([{name: score["slope"] for name, score in state["scores"].items()} for state in ends])
        six = [
            [{image[0] for image in state["images"] if 1 <= image[rank] <= data["top"]} for rank in (5, 6)]
            for state in ends
        ]
        replaced.append([len(rescaled - classic) for classic, rescaled in six])
    assert all(len(each) == data["top"] == 6 for pair in six for each in pair)
    assert set(replaced[0]) == {0, 1} and 8 <= sum(replaced[0]) <= 13 and not any(replaced[1])
    left = [slope["IHVP"] / slope["rescaled IHVP"] for slope in slopes[0]]  # one minus the leverages, where they matter
    assert min(left) > 0.2 and max(left) < 0.35 and min(slope["IHVP"] for slope in slopes[1]) > 0.95


def test_explorer_data_are_light(page):
    folder = SITE / "_static" / "explorer"
    assert sum(file.stat().st_size for file in folder.iterdir()) < 700_000
    script = (folder / "data.js").read_text(encoding="utf-8")
    assert json.loads(script.partition("=")[2].strip().rstrip(";"))["methods"] == list(METHODS)
