/* The picture of the front page: both estimates against the exact influence, at the ridge that the reader chooses. */
(() => {
  "use strict";
  const data = window.ntkifFront;
  const form = document.getElementById("front");
  if (!data || !form) return;
  const SPACE = "http://www.w3.org/2000/svg";
  const COLUMNS = 32; // images in a row of a sprite, see ntkif/study/pages/explorer.py
  const BOX = { left: 52, right: 596, top: 12, bottom: 258 };
  const RANGE = [-0.55, 1.08]; // of both axes, in units of the largest influence
  const SERIES = ["rescaled IHVP", "IHVP"]; // in the order in which they are drawn
  const part = (name) => form.querySelector(`[data-part=${name}]`);
  const still = matchMedia("(prefers-reduced-motion: reduce)");

  const share = (value) => (value - RANGE[0]) / (RANGE[1] - RANGE[0]);
  const x = (value) => BOX.left + share(value) * (BOX.right - BOX.left);
  const y = (value) => BOX.bottom - share(value) * (BOX.bottom - BOX.top);
  const inside = (value) => value >= RANGE[0] && value <= RANGE[1];

  function draw(tag, properties, text = "") {
    const element = document.createElementNS(SPACE, tag);
    for (const [name, value] of Object.entries(properties)) element.setAttribute(name, value);
    element.textContent = text;
    return element;
  }

  /* Ticks at whole multiples of 1, 2 or 5 times a power of ten, of influences times 1000. */
  function ticks(largest) {
    const rough = (1000 * largest * (RANGE[1] - RANGE[0])) / 7;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough);
    const from = Math.ceil((RANGE[0] * 1000 * largest) / step);
    const count = Math.floor((RANGE[1] * 1000 * largest) / step) - from + 1;
    return Array.from({ length: count }, (_, i) => [(from + i) * step, ((from + i) * step) / (1000 * largest)]);
  }

  function axes(largest) {
    const marks = ticks(largest).flatMap(([value, place]) => {
      const text = String(Number(value.toPrecision(3))).replace("-", "−");
      return [
        draw("text", { x: x(place), y: BOX.bottom + 18, "text-anchor": "middle" }, text),
        draw("text", { x: BOX.left - 8, y: y(place) + 4, "text-anchor": "end" }, text),
        draw("path", { d: `M${x(place)} ${BOX.bottom}v4M${BOX.left} ${y(place)}h-4`, class: "axis" }),
      ];
    });
    part("axes").replaceChildren(...marks);
  }

  /* All points of a series in one path: lines of no length with round ends. */
  function points(exact, estimate) {
    return exact.map((value, i) => [value / 1000, estimate[i] / 1000])
      .filter(([a, b]) => inside(a) && inside(b))
      .map(([a, b]) => `M${x(a).toFixed(1)} ${y(b).toFixed(1)}h0`).join("");
  }

  const between = (from, to, part) => to.map((value, i) => from[i] + part * (value - from[i]));

  function drawPoints(state) {
    for (const name of SERIES) {
      form.querySelector(`path[data-method="${name}"]`).setAttribute("d", points(state.exact, state[name]));
    }
  }

  let shown = null; // the points on the screen
  let motion = 0;
  function moveTo(target) {
    cancelAnimationFrame(motion);
    const from = shown, began = performance.now();
    const step = (now) => {
      const time = from && !still.matches ? Math.min(1, Math.max(0, (now - began) / 350)) : 1;
      shown = time < 1
        ? Object.fromEntries(Object.keys(target).map((name) => [name, between(from[name], target[name], time)]))
        : target;
      drawPoints(shown);
      if (time < 1) motion = requestAnimationFrame(step);
    };
    step(began);
  }

  function digit(place, label) {
    const picture = document.createElement("span");
    picture.className = "digit";
    picture.setAttribute("role", "img");
    picture.setAttribute("aria-label", label);
    picture.style.backgroundImage = `url("${data.picture}")`;
    picture.style.setProperty("--column", place % COLUMNS);
    picture.style.setProperty("--row", Math.floor(place / COLUMNS));
    return picture;
  }

  const named = (place) => digit(place + 1, `training image ${data.digits[place][0]}, a ${data.digits[place][1]}`);

  function show() {
    const state = data.states[Number(form.elements.ridge.value)];
    const { IHVP: classic, "rescaled IHVP": rescaled } = state.scores;
    form.elements.ridge.setAttribute("aria-valuetext", `λ = ${state.ridge}`);
    part("ridge").textContent = `λ = ${state.ridge}`;
    part("class").textContent = `a ${data.test[1]}, read as ${state.class}`;
    for (const kind of ["helpful", "harmful"]) part(kind).replaceChildren(...state[kind].map(named));
    part("reading").textContent =
      `At λ = ${state.ridge} the classic estimate is ${classic.slope.toFixed(2)} times the truth; ` +
      `${state.foretold.toFixed(2)} was foretold. Its order is right (Spearman’s ρ ${classic.spearman.toFixed(3)}). ` +
      `Rescaled it is ${rescaled.slope.toFixed(2)} times the truth.`;
    part("explorer").href = `explorer.html#digit-${data.test[0]}-ridge-${String(state.ridge).replace(".", "_")}`;
    axes(state.largest);
    moveTo(state.points);
  }

  part("digit").append(digit(0, `test image ${data.test[0]}, a ${data.test[1]}`));
  part("frame").setAttribute("d", `M${BOX.left} ${BOX.top}V${BOX.bottom}H${BOX.right}`);
  part("diagonal").setAttribute("d", `M${x(RANGE[0])} ${y(RANGE[0])}L${x(RANGE[1])} ${y(RANGE[1])}`);
  form.elements.ridge.max = data.states.length - 1;
  form.addEventListener("input", show);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.hidden = false;
  show();
})();
