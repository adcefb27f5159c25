/* The influence explorer: draws what `python -m ntkif pages` computed (data.js) in the form that the page holds. */
(() => {
  "use strict";
  const data = window.ntkifExplorer;
  const form = document.getElementById("explorer");
  if (!data) return; // the page goes on saying that the explorer is absent
  const pixels = new URL("explorer/", document.currentScript.src);
  const COLUMNS = 32; // images in a row of a sprite, see ntkif/explorer.py
  const ORDINAL = new Intl.PluralRules("en", { type: "ordinal" });
  const SUFFIX = { one: "st", two: "nd", few: "rd", other: "th" };

  const make = (tag, properties = {}, ...children) => {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  };
  const sum = (values) => values.reduce((total, value) => total + value, 0);
  const number = (value) => Number((1000 * value).toPrecision(3)).toString().replace("-", "−");
  const ordinal = (n) => n + SUFFIX[ORDINAL.select(n)];

  function digit(sprite, index, label) {
    const picture = make("span", { className: "digit", role: "img" });
    picture.setAttribute("aria-label", label);
    picture.style.backgroundImage = `url("${new URL(`${sprite}.png`, pixels)}")`;
    picture.style.setProperty("--column", index % COLUMNS);
    picture.style.setProperty("--row", Math.floor(index / COLUMNS));
    return picture;
  }

  function radio(name, value, ...shown) {
    return make("label", {}, make("input", { type: "radio", name, value }), ...shown);
  }

  /* The images that a method puts at one end (sign 1: most helpful, -1: most harmful), the first first. */
  function ranked(state, method, sign) {
    const rank = (image) => sign * image[image.length / 2 + method + 0.5];
    return state.images
      .filter((image) => rank(image) >= 1 && rank(image) <= data.top)
      .sort((one, other) => rank(one) - rank(other));
  }

  /* An image is [index, one influence for each method, one signed rank for each method]. */
  const influences = (image) => image.slice(1, (image.length + 1) / 2);
  const ranks = (image) => image.slice((image.length + 1) / 2);

  function moved(before, index, place) {
    if (!before) return "";
    if (!before.has(index)) return "new";
    const up = before.get(index) - place;
    return up === 0 ? "" : up > 0 ? `▲ up ${up}` : `▼ down ${-up}`;
  }

  function card(image, place, sign, largest, move) {
    const [row, label] = data.train[image[0]];
    const bars = influences(image).map((value, method) => {
      const bar = make("span", { className: `bar method-${method}` + (value * sign < 0 ? " opposite" : "") });
      bar.style.setProperty("--share", Math.abs(value) / largest);
      bar.setAttribute("aria-hidden", "true");
      return make("div", {}, make("dt", { textContent: data.methods[method] }),
        make("dd", {}, bar, make("span", { className: "value", textContent: number(value) })));
    });
    const others = ranks(image)
      .map((rank, method) => [data.methods[method], rank])
      .filter(([, rank]) => rank !== sign * place)
      .map(([method, rank]) => `${method}: ${ordinal(Math.abs(rank))} most ${rank > 0 ? "helpful" : "harmful"}`);
    const item = make("li", {},
      digit("train", image[0], `training image ${row}, a ${data.classes[label]}`),
      make("div", { className: "numbers" },
        make("p", {}, make("b", { textContent: `${place}. a ${data.classes[label]}` }),
          make("span", { className: "move", textContent: move })),
        make("dl", {}, ...bars),
        make("p", { className: "others", textContent: others.join("; ") })));
    item.dataset.row = row;
    return item;
  }

  function scores(state) {
    const names = { slope: "slope", relative_error: "relative error", spearman: "Spearman’s ρ", pearson: "Pearson’s R" };
    const head = make("tr", {}, make("td"), ...Object.values(names).map((text) =>
      make("th", { scope: "col", textContent: text })));
    const rows = Object.entries(state.scores).map(([method, found]) => make("tr", {},
      make("th", { scope: "row", textContent: method }),
      ...Object.keys(names).map((name) => make("td", { textContent: found[name].toPrecision(3) }))));
    return [make("thead", {}, head), make("tbody", {}, ...rows)];
  }

  /* What is chosen, as the part of the address after #: names and values, so that it means the same in a later book. */
  const text = (value) => String(value).replace(/[ .]/g, "_");
  const choices = {
    digit: ["test", data.test.map(([row]) => text(row))],
    ridge: ["ridge", data.ridges.map(text)],
    time: ["time", data.times.map((time) => time === null ? "end" : text(time))],
    by: ["method", data.methods.map(text)],
  };

  function address() {
    return "#" + Object.entries(choices)
      .map(([name, [control, values]]) => `${name}-${values[Number(form.elements[control].value)]}`).join("-");
  }

  function readAddress() {
    const parts = location.hash.slice(1).split("-");
    for (let i = 0; i + 1 < parts.length; i += 2) {
      const [control, values] = choices[parts[i]] ?? [];
      const index = values ? values.indexOf(parts[i + 1]) : -1;
      if (index >= 0) form.elements[control].value = index;
    }
  }

  const memory = {}; // the lists shown before, to say what moved

  function draw() {
    const test = Number(form.elements.test.value);
    const ridge = Number(form.elements.ridge.value);
    const time = Number(form.elements.time.value);
    const ended = data.times[time] === null;
    const state = data.states[test][ridge][time];
    const ridgeText = `λ = ${data.ridges[ridge]}`;
    const timeText = ended ? "end of training" : `t = ${data.times[time]}`;
    for (const [name, text] of [["ridge", ridgeText], ["time", timeText]]) {
      form.elements[name].setAttribute("aria-valuetext", text);
      form.querySelector(`[data-part=${name}]`).textContent = text;
    }
    for (const choice of form.elements.method) choice.disabled = !ended && choice.value !== "0";
    if (!ended) form.elements.method.value = "0";
    else if (memory.ended === false) form.elements.method.value = memory.method;
    const method = Number(form.elements.method.value);
    if (ended) memory.method = method;
    memory.ended = ended;

    const same = memory.test === test;
    const halves = [["helpful", 1], ["harmful", -1]].map(([kind, sign]) => [kind, sign, ranked(state, method, sign)]);
    const all = halves.flatMap(([, , list]) => list.flatMap(influences)).map(Math.abs);
    const kept = halves.map(([kind, sign, list]) => {
      const before = same ? memory[kind] : undefined;
      form.querySelector(`[data-part=${kind}]`).replaceChildren(...list.map((image, place) =>
        card(image, place + 1, sign, Math.max(...all), moved(before, image[0], place + 1))));
      memory[kind] = new Map(list.map((image, place) => [image[0], place + 1]));
      return before && sum([...memory[kind].keys()].map((index) => Number(before.has(index))));
    });
    memory.test = test;

    const [row, label] = data.test[test];
    form.querySelector("[data-part=digit]").replaceChildren(
      digit("test", test, `the chosen digit, test image ${row}, a ${data.classes[label]}`));
    const right = state.class === label ? "rightly" : "wrongly";
    form.querySelector("[data-part=reading]").textContent =
      `Test image ${row}, a ${data.classes[label]}, is ${right} read as ${data.classes[state.class]}, ` +
      `with loss ${state.loss}, at ${ridgeText}, ${timeText}. Ranked by ${data.methods[method]}.` + (same
        ? ` Of the images shown before, ${kept[0]} of ${data.top} helpful and ${kept[1]} of ${data.top} harmful ones stay.`
        : "");
    form.querySelector("[data-part=scores]").hidden = !ended;
    form.querySelector("[data-part=only-exact]").hidden = ended;
    if (ended) form.querySelector("[data-part=scores] table").replaceChildren(...scores(state));
  }

  form.querySelector("[data-part=tests]").append(...data.test.map(([row, label], index) =>
    radio("test", index, digit("test", index, `test image ${row}, a ${data.classes[label]}`))));
  form.querySelector("[data-part=methods]").append(...data.methods.map((method, index) =>
    radio("method", index, make("span", { className: `key method-${index}` }), method)));
  form.elements.ridge.max = data.ridges.length - 1;
  form.elements.time.max = data.times.length - 1;
  [form.elements.test.value, form.elements.ridge.value, form.elements.time.value] = data.start;
  form.elements.method.value = 0;
  readAddress();
  form.addEventListener("input", () => {
    draw();
    history.replaceState(null, "", address());
  });
  addEventListener("hashchange", () => {
    readAddress();
    draw();
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  document.getElementById("explorer-absent").hidden = true;
  form.hidden = false;
  draw();
})();
