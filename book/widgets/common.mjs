// What the live equations share: labelled sliders, a sentence that says the present result, and
// small SVG plots. Only `widget` touches a document; all else are pure functions.
//
// A page gets one file for each equation, so this one is put in the place of its import when the
// site is staged and when a notebook shows an equation (gensr_lib/show/live_equations.py).

// Okabe and Ito's, as in gensr_lib/show/style.py; a page in the dark has lighter ones (book/style.css).
// The tasks' are for tasks alone.
export const REC = "var(--gensr-rec, #0072B2)";
export const SRC = "var(--gensr-src, #D55E00)";
export const GREEN = "var(--gensr-green, #009E73)";
export const PINK = "var(--gensr-pink, #CC79A7)";
export const INK = "currentColor"; // dark on a light page, light on a dark one

export const STYLE = `
  .live { border: 1px solid color-mix(in srgb, currentColor 25%, transparent); border-radius: 6px;
    padding: 12px; margin: 8px 0; font-size: 15px; line-height: 1.45; }
  .live form { display: grid; gap: 4px 24px; margin: 0 0 8px; align-items: end;
    grid-template-columns: repeat(auto-fit, minmax(min(240px, 100%), 1fr)); }
  .live label { display: flex; justify-content: space-between; gap: 8px; flex-wrap: wrap; }
  .live input { flex: 1 0 100%; width: 100%; min-height: 24px; margin: 0; accent-color: #777; }
  .live b { font-variant-numeric: tabular-nums; }
  .live button { font: inherit; color: inherit; background: none; border: 1px solid currentColor;
    border-radius: 4px; padding: 4px 12px; justify-self: start; cursor: pointer; }
  .live :focus-visible { outline: 2px solid currentColor; outline-offset: 2px; }
  .live .figures { display: flex; flex-wrap: wrap; gap: 8px 16px; }
  .live svg { display: block; overflow: visible; }
  .live .legend { display: flex; flex-wrap: wrap; gap: 2px 18px; margin: 4px 0; padding: 0;
    list-style: none; }
  .live .legend li { display: flex; align-items: center; gap: 6px; }
  .live p { margin: 8px 0 0; }
`;

/** The anywidget of an equation.
 *
 * controls: sliders {name, label, value, unit} with either {min, max, step} or a list of `stops`.
 *   The model's entry of the same name, if it is a number, is the value to start with.
 * draw: (values, width in px) => {figures: [svg], legend: html, says: html}, a pure function.
 */
export function widget(title, controls, draw) {
  return {
    render({ model, el }) {
      const own = started(controls, (name) => model.get(name));
      return mount(el, title, own, draw);
    },
  };
}

/** The controls with the values that `get` knows in the place of their own. */
export function started(controls, get) {
  return controls.map((control) => {
    const given = get(control.name);
    return Number.isFinite(given) ? { ...control, value: given } : control;
  });
}

function mount(el, title, controls, draw) {
  el.innerHTML = `<style>${STYLE}</style><div class="live" role="group" aria-label="${title}">
    <form>${controls.map(slider).join("")}<button type="reset">Reset</button></form>
    <div class="figures"></div><div></div><p aria-live="polite"></p></div>`;
  const legend = el.querySelector(".figures + div");
  return follow(el, (form, width) => {
    const values = controls.map((control) => [control.name, read(form, control)]);
    const drawn = draw(Object.fromEntries(values), width);
    legend.innerHTML = drawn.legend;
    return drawn;
  });
}

/** Draw now, at each change of the form in `el`, and when the width changes.
 *
 * draw: (form, width in px) => {figures: [svg], says: html}. Returns what ends it.
 */
export function follow(el, draw) {
  const form = el.querySelector("form");
  const [figures, says] = el.querySelectorAll(".figures, [aria-live]");
  let said = "";
  const update = () => {
    const drawn = draw(form, figures.clientWidth || 640);
    figures.innerHTML = drawn.figures.join("");
    if (drawn.says !== said) says.innerHTML = drawn.says.replaceAll(" %", "&nbsp;%");
    said = drawn.says; // what has not changed is not read aloud again
  };
  form.addEventListener("input", update);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(update)); // the inputs change after the event
  const observer = new ResizeObserver(update);
  observer.observe(figures);
  update();
  return () => observer.disconnect();
}

function slider({ name, label, value, min, max, step, stops }) {
  const range = stops ? [0, stops.length - 1, 1, nearest(stops, value)] : [min, max, step, value];
  const [low, high, by, at] = range;
  return `<label><span>${label}</span><b></b><input type="range" name="${name}"
    min="${low}" max="${high}" step="${by}" value="${at}"></label>`;
}

function read(form, { name, unit, stops }) {
  const input = form.querySelector(`[name=${name}]`);
  const value = stops ? stops[input.valueAsNumber] : input.valueAsNumber;
  const shown = `${value}${unit}`.replace("-", "−");
  input.setAttribute("aria-valuetext", shown);
  input.parentElement.querySelector("b").textContent = shown;
  return value;
}

/** The place of the stop that is nearest to a value. */
export function nearest(stops, value) {
  const away = stops.map((stop) => Math.abs(stop - value));
  return away.indexOf(Math.min(...away));
}

/** A number for reading: some digits after the point, and a true minus sign. */
export function number(value, digits = 2) {
  const text = value.toFixed(digits);
  return (Number(text) === 0 ? text.replace("-", "") : text).replace("-", "−");
}

/** The width of each of two plots: side by side where there is room, else one below the other. */
export function half(width) {
  // A pixel to spare: a width is told in whole pixels, and may be a fraction less.
  return width < 560 ? width : Math.floor((width - 16) / 2) - 1;
}

/** About five round numbers from 0 to `high`. */
export function ticks(high) {
  const power = 10 ** Math.floor(Math.log10(high / 5));
  const step = [1, 2, 5, 10].find((round) => high / (round * power) <= 5) * power;
  return Array.from({ length: Math.floor(high / step + 1e-9) + 1 }, (_, k) =>
    Number((k * step).toPrecision(12)),
  );
}

/** A plot with two axes, each {range, ticks, label, log, names}; `body` is (X, Y) => svg. */
export function plot(name, width, height, x, y, body) {
  const [left, right, top, bottom] = [48, 14, 26, 42];
  const X = scale(x, left, width - right);
  const Y = scale(y, height - bottom, top);
  const across = x.ticks.map((tick, k) => {
    const text = x.names ? x.names[k] : tick;
    return (
      rule(X(tick), top, X(tick), height - bottom, x.names) +
      words(X(tick), height - bottom + 16, text)
    );
  });
  const up = y.ticks.map(
    (tick) =>
      rule(left, Y(tick), width - right, Y(tick)) + words(left - 6, Y(tick) + 4, tick, "end"),
  );
  return `<svg role="img" aria-label="${name}" width="${width}" height="${height}"
    fill="currentColor" font-size="12">
    ${across.join("")}${up.join("")}${words((left + width - right) / 2, height - 8, x.label)}
    ${words(4, 14, y.label, "start")}${body(X, Y)}</svg>`;
}

function scale({ range, log }, from, to) {
  const place = log ? Math.log : Number;
  const [low, high] = range.map(place);
  return (value) => from + ((place(value) - low) / (high - low)) * (to - from);
}

function rule(x1, y1, x2, y2, isHidden) {
  if (isHidden) return "";
  const ends = `x1="${x1}" y1="${y1}" x2="${x2}" y2="${y2}"`;
  return `<line ${ends} stroke="${INK}" stroke-opacity="0.18"/>`;
}

/** Text at a place, on its middle if nothing else is said. */
export function words(x, y, text, anchor = "middle", colour = INK) {
  const shown = String(text).replace("-", "−");
  return `<text x="${x}" y="${y}" text-anchor="${anchor}" fill="${colour}">${shown}</text>`;
}

/** A line through points [[x, y], …] given in pixels. */
export function path(points, colour, dash = "", thick = 2) {
  const route = points.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`).join(" ");
  const look = `stroke="${colour}" stroke-width="${thick}" stroke-dasharray="${dash}"`;
  return `<polyline points="${route}" fill="none" ${look}/>`;
}

/** A mark at a place in pixels. */
export function dot(x, y, colour, isOpen = false) {
  const look = `fill="${isOpen ? "none" : colour}" stroke="${colour}" stroke-width="2"`;
  return `<circle cx="${x}" cy="${y}" r="5" ${look}/>`;
}

/** A bar from the height y0 to y, with its value above. */
export function bar(x, y0, y, thick, colour, text) {
  const box = `x="${x - thick / 2}" y="${y}" width="${thick}" height="${Math.max(y0 - y, 0)}"`;
  return `<rect ${box} fill="${colour}"/>${words(x, y - 5, text)}`;
}

/** What the lines mean: [[name, colour, dash], …]. */
export function legend(entries) {
  const items = entries.map(
    ([name, colour, dash = ""]) => `<li><svg width="28" height="8" aria-hidden="true">
      ${path(
        [
          [0, 4],
          [28, 4],
        ],
        colour,
        dash,
        3,
      )}</svg><span>${name}</span></li>`,
  );
  return `<ul class="legend">${items.join("")}</ul>`;
}

/** Equal steps from low to high, both ends among them. */
export function steps(low, high, count) {
  return Array.from({ length: count + 1 }, (_, k) => low + ((high - low) * k) / count);
}

/** Φ(z), by the series of its integral from 0; beyond 7 it is 0 or 1 to twelve digits. */
export function normal(z) {
  if (Math.abs(z) > 7) return z > 0 ? 1 : 0;
  let [term, sum] = [z, z];
  for (let k = 3; Math.abs(term) > 1e-17 * Math.abs(sum); k += 2) {
    term *= z ** 2 / k;
    sum += term;
  }
  return 0.5 + (sum * Math.exp(-(z ** 2) / 2)) / Math.sqrt(2 * Math.PI);
}

/** The law of s = χ / √df as points {s, weight}: equal steps in ln s, whose sum converges fast. */
export function spreadLaw(df) {
  const step = Math.min(0.08, 0.3 / Math.sqrt(2 * df));
  // The logarithm of the density of ln s, 0 at its peak.
  const height = (x) => df * (x - Math.expm1(2 * x) / 2);
  const points = [];
  for (const side of [1, -1]) {
    for (let x = side > 0 ? 0 : -step; height(x) > -36; x += side * step) {
      points.push({ s: Math.exp(x), weight: Math.exp(height(x)) });
    }
  }
  const total = points.reduce((sum, { weight }) => sum + weight, 0);
  return points.map(({ s, weight }) => ({ s, weight: weight / total }));
}

/** P(T > t) of the t distribution with this noncentrality; `law` is the `spreadLaw` of its df. */
export function tail(t, law, noncentrality = 0) {
  return law.reduce((sum, { s, weight }) => sum + weight * normal(noncentrality - t * s), 0);
}

/** The t > 0 beyond which the central t distribution has this probability, below one half. */
export function critical(probability, law) {
  let t = 0;
  for (let k = 0; k < 200; k++) {
    const density = law.reduce(
      (sum, { s, weight }) => sum + weight * s * Math.exp(-((t * s) ** 2) / 2),
      0,
    );
    const change = ((tail(t, law) - probability) * Math.sqrt(2 * Math.PI)) / density;
    t += change; // the tail is convex: Newton's steps come from below and never pass
    if (change < 1e-10 * t) break;
  }
  return t;
}
