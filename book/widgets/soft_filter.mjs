// Eq. 5 and 6 on the three items of chapter 3: one head, all projections the identity.
import { GREEN, INK, PINK, bar, half, legend, number, path, plot, widget, words } from "./common.mjs";

export const HISTORY = [
  [2, 0],
  [0, 2],
  [-2, 0],
];

/** Eq. 5: softmax over the items of candidate · h_j / √d, for vectors of d numbers. */
export function weights(candidate, history) {
  const scores = history.map((item) => dotProduct(candidate, item) / Math.sqrt(candidate.length));
  const largest = Math.max(...scores); // else the exponential may overflow
  const powers = scores.map((score) => Math.exp(score - largest));
  const sum = powers.reduce((a, b) => a + b);
  return powers.map((power) => power / sum);
}

/** Eq. 6: the sum of α_j h_j. */
export function filtered(alpha, history) {
  return history[0].map((_, k) => history.reduce((sum, item, j) => sum + alpha[j] * item[k], 0));
}

function dotProduct(a, b) {
  return a.reduce((sum, value, k) => sum + value * b[k], 0);
}

/** The vector of a length in a direction, in degrees from the right. */
export function vector(angle, length) {
  const turn = (angle * Math.PI) / 180;
  return [length * Math.cos(turn), length * Math.sin(turn)];
}

export const controls = [
  {
    name: "angle",
    label: "direction of the candidate",
    value: 0,
    min: -180,
    max: 180,
    step: 1,
    unit: "°",
  },
  {
    name: "length",
    label: "length of the candidate",
    value: 1.5,
    min: 0,
    max: 5,
    step: 0.1,
    unit: "",
  },
];

export function draw({ angle, length }, width) {
  const candidate = vector(angle, length);
  const alpha = weights(candidate, HISTORY);
  const found = filtered(alpha, HISTORY);
  return {
    figures: [plane(candidate, found, half(width)), bars(alpha, half(width))],
    legend: legend([
      ["history <i>h</i><sub>1</sub>, <i>h</i><sub>2</sub>, <i>h</i><sub>3</sub>", INK],
      ["candidate", PINK, "5 3"],
      ["filtered history", GREEN],
    ]),
    says: sentence(angle, length, alpha, found),
  };
}

function plane(candidate, found, width) {
  const reach = Math.max(2.6, 0.2 + Math.hypot(...candidate));
  const tall = Math.min(width, 300);
  const wide = (reach * (width - 62)) / (tall - 68); // the same scale on both axes
  const marks = [-4, -2, 0, 2, 4].filter((tick) => Math.abs(tick) < reach);
  const x = { range: [-wide, wide], ticks: marks, label: "" };
  const y = { range: [-reach, reach], ticks: marks, label: "the plane of the items" };
  return plot("The vectors in the plane", width, tall, x, y, (X, Y) => {
    const arrow = ([a, b], ...look) => tip([X(0), Y(0)], [X(a), Y(b)], ...look);
    const items = HISTORY.map((item, j) => {
      const [a, b] = item.map((value) => value * 1.17);
      return arrow(item, INK) + words(X(a), Y(b) + 4, `h${"₁₂₃"[j]}`);
    });
    return items.join("") + arrow(found, GREEN, "", 4) + arrow(candidate, PINK, "5 3");
  });
}

function tip([x0, y0], [x, y], colour, dash = "", thick = 2) {
  const length = Math.hypot(x - x0, y - y0);
  if (length < 1) return "";
  const [u, v] = [(x - x0) / length, (y - y0) / length];
  const corner = (side) => [x - 9 * u - side * 5 * v, y - 9 * v + side * 5 * u];
  return (
    path(
      [
        [x0, y0],
        [x, y],
      ],
      colour,
      dash,
      thick,
    ) + path([corner(1), [x, y], corner(-1)], colour, "", thick)
  );
}

function bars(alpha, width) {
  const x = {
    range: [0.4, 3.6],
    ticks: [1, 2, 3],
    names: ["h₁", "h₂", "h₃"],
    label: "item of the history",
  };
  const y = { range: [0, 1.08], ticks: [0, 0.25, 0.5, 0.75, 1], label: "weight α of eq. 5" };
  return plot("The weights of the three items", width, Math.min(width, 300), x, y, (X, Y) =>
    alpha.map((weight, j) => bar(X(j + 1), Y(0), Y(weight), 36, GREEN, number(weight, 3))).join(""),
  );
}

function sentence(angle, length, alpha, found) {
  const [x, y] = found.map((value) => number(value, 3));
  const most = Math.max(...alpha);
  const ahead = alpha.flatMap((weight, j) =>
    most - weight < 1e-9 ? [`<i>h</i><sub>${j + 1}</sub>`] : [],
  );
  const where = length === 0 ? "A candidate of length 0" : `A candidate at ${number(angle, 0)}°`;
  const looks =
    ahead.length === 3 ? "looks at all items alike" : `looks most at ${ahead.join(" and ")}`;
  return `${where} ${looks}: α = (${alpha.map((weight) => number(weight, 3)).join(", ")}).
    It finds the user's history at (${x}, ${y}).`;
}

export default widget("Soft filtering of three items", controls, draw);
