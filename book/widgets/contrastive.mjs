// Eq. 10 for one user of a batch, and its weight in eq. 8: the tiny example of chapter 9.
import { GREEN, PINK, bar, dot, half, legend, number, path, plot, widget } from "./common.mjs";

export const OTHERS = [0.8, 0.5, 0]; // cosines of three other users
export const TAUS = [0.01, 0.02, 0.03, 0.05, 0.07, 0.09, 0.15, 0.3, 0.5, 1];

/** Softmax of the cosines over τ: of the user's own pair, then of each negative. */
export function shares(own, negatives, tau) {
  const all = [own, ...negatives].map((cosine) => cosine / tau);
  const largest = Math.max(...all); // else the exponential may overflow
  const powers = all.map((logit) => Math.exp(logit - largest));
  const sum = powers.reduce((a, b) => a + b);
  return powers.map((power) => power / sum);
}

/** Eq. 10 of one user, -ln of the own pair's share; `negatives` holds both directions. */
export function loss(own, negatives, tau) {
  const all = [own, ...negatives].map((cosine) => (cosine - own) / tau);
  const largest = Math.max(...all);
  return largest + Math.log(all.reduce((sum, logit) => sum + Math.exp(logit - largest), 0));
}

/** The derivative of `loss` with respect to each cosine: the own pair's, then the negatives'. */
export function gradient(own, negatives, tau) {
  return shares(own, negatives, tau).map((share, k) => (share - (k === 0 ? 1 : 0)) / tau);
}

/** How the push is spread over the negatives: the parts sum to 1, however far the own pair is. */
export function spread(negatives, tau) {
  return shares(negatives[0], negatives.slice(1), tau);
}

export const controls = [
  { name: "tau", label: "temperature <i>τ</i>", value: 0.07, stops: TAUS, unit: "" },
  {
    name: "beta",
    label: "weight <i>β</i> in eq. 8",
    value: 0.01,
    stops: [0.001, 0.01, 0.1, 0.2, 0.3],
    unit: "",
  },
  {
    name: "own",
    label: "cosine of the user's own two views",
    value: 0.9,
    min: -0.5,
    max: 1,
    step: 0.05,
    unit: "",
  },
];

/** The pull on the own pair, which is the push on all negatives together, as it counts in eq. 8. */
export function force(own, others, tau, beta) {
  const both = [...others, ...others]; // C_u against S_u', and S_u against C_u'
  return -beta * gradient(own, both, tau)[0];
}

export function draw({ tau, beta, own }, width) {
  const parts = spread(OTHERS, tau);
  const size = force(own, OTHERS, tau, beta);
  return {
    figures: [pushes(parts, half(width)), sizes(own, beta, tau, half(width))],
    legend: legend([
      [`own cosine ${number(own)}`, GREEN],
      ["cosine 0: views not yet aligned", PINK, "6 4"],
    ]),
    says: sentence(parts, size, { tau, beta, own }),
  };
}

function pushes(parts, width) {
  const x = {
    range: [0.4, 3.6],
    ticks: [1, 2, 3],
    names: OTHERS,
    label: "other users, by their cosine",
  };
  const y = { range: [0, 1.08], ticks: [0, 0.25, 0.5, 0.75, 1], label: "share of the push" };
  return plot("Share of the push on each other user", width, 260, x, y, (X, Y) =>
    parts.map((part, j) => bar(X(j + 1), Y(0), Y(part), 36, GREEN, number(part, 3))).join(""),
  );
}

function sizes(own, beta, tau, width) {
  const x = {
    range: [TAUS[0], 1],
    ticks: [0.01, 0.03, 0.1, 0.3, 1],
    label: "temperature τ",
    log: true,
  };
  const y = {
    range: [1e-5, 100],
    ticks: [1e-4, 0.01, 1, 100],
    label: "size of the gradient, β times eq. 10",
    log: true,
  };
  return plot("Size of the gradient over the temperature", width, 260, x, y, (X, Y) => {
    const place = (cosine) => (t) => [X(t), Y(Math.max(force(cosine, OTHERS, t, beta), 1e-5))];
    const curve = (cosine, ...look) => path(TAUS.map(place(cosine)), ...look);
    return curve(0, PINK, "6 4") + curve(own, GREEN) + dot(...place(own)(tau), GREEN);
  });
}

function sentence(parts, size, { tau, beta, own }) {
  const held =
    own > OTHERS[0] ? "nearer than every other user" : "not nearer than every other user";
  return `At <i>τ</i> = ${tau}, ${number(100 * parts[0], 0)} % of the push falls on the nearest
    other user (cosine ${OTHERS[0]}). The user's own view is ${held}; with <i>β</i> = ${beta} the
    pull on it, and the push on the others together, is ${size.toPrecision(2)} per unit of cosine.`;
}

export default widget("The two knobs of the contrastive loss", controls, draw);
