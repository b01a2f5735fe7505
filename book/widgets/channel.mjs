// What an estimate ŵ of a task's weights w* has to do with information: the three readings of
// chapter 10, and the binary channel that is left when only the sign of the score is read.
import {
  GREEN,
  INK,
  PINK,
  REC,
  SRC,
  dot,
  legend,
  normal,
  number,
  path,
  plot,
  steps,
  ticks,
  widget,
  words,
} from "./common.mjs";

/** (a) Eq. 14 with the weight squared, in nats: ½ ln(1 + |ŵ|²), noise and inputs of deviation 1. */
export function channelInformation(length) {
  return Math.log1p(length ** 2) / 2;
}

/** (b) What the score of ŵ, `angle` degrees from w*, tells about a Gaussian Y, in nats. */
export function scoreInformation(angle, length) {
  const turn = Math.cos((angle * Math.PI) / 180);
  return -Math.log1p(-((turn * length) ** 2) / (1 + length ** 2)) / 2;
}

/** (c) What it tells about a Yes or No, in nats: the classes' means are `length` apart along w*. */
export function answerInformation(angle, length) {
  const mean = (Math.cos((angle * Math.PI) / 180) * length) / 2;
  const points = steps(-9 - Math.abs(mean), 9 + Math.abs(mean), 800);
  // ln 2 minus the entropy of the answer that is left at a score s, whose log-odds are 2 mean s.
  const at = (s) => density(s - mean) * (Math.log(2) - Math.log1p(Math.exp(-2 * mean * s)));
  return (points[1] - points[0]) * points.reduce((sum, s) => sum + at(s), 0);
}

function density(z) {
  return Math.exp(-(z ** 2) / 2) / Math.sqrt(2 * Math.PI);
}

/** How often the sign of the score is wrong about the answer. */
export function flips(angle, length) {
  return normal((-Math.cos((angle * Math.PI) / 180) * length) / 2);
}

/** A fair coin through a channel that flips a share of the answers, in nats (chapter 6). */
export function binaryInformation(share) {
  const entropy = (p) => (p > 0 ? -p * Math.log(p) : 0);
  return Math.log(2) - entropy(share) - entropy(1 - share);
}

export const controls = [
  {
    name: "search",
    label: "search: angle between <i>ŵ</i> and <i>w</i>*",
    value: 30,
    min: 0,
    max: 90,
    step: 1,
    unit: "°",
  },
  {
    name: "recommendation",
    label: "recommendation: the same angle",
    value: 60,
    min: 0,
    max: 90,
    step: 1,
    unit: "°",
  },
  {
    name: "times",
    label: "length of <i>ŵ</i>, in lengths of <i>w</i>*",
    value: 1,
    stops: [0.5, 1, 1.5, 2, 3],
    unit: " ×",
  },
  { name: "length", label: "length of <i>w</i>*", value: 2, min: 0.5, max: 4, step: 0.1, unit: "" },
];

/** The readings at an angle, in nats. */
export function readings(angle, times, length) {
  return {
    a: channelInformation(times * length),
    b: scoreInformation(angle, length),
    c: answerInformation(angle, length),
    sign: binaryInformation(flips(angle, length)),
  };
}

const LOOKS = { a: [PINK, "2 3"], b: [GREEN, "8 4"], c: [INK, ""], sign: [INK, "6 2 2 2"] };
const NAMES = {
  a: "(a) eq. 14 at <i>ŵ</i>",
  b: "(b) score, Gaussian <i>Y</i>",
  c: "(c) score, Yes or No",
  sign: "its sign alone",
};

export function draw(values, width) {
  return {
    figures: [curves(values, width)],
    legend: legend(Object.keys(NAMES).map((name) => [NAMES[name], ...LOOKS[name]])),
    says: sentence(values),
  };
}

function curves({ search, recommendation, times, length }, width) {
  const angles = steps(0, 90, 45);
  const values = angles.map((angle) => readings(angle, times, length));
  const high = 1.08 * Math.max(0.8, values[0].a, values[0].b);
  const x = {
    range: [0, 90],
    ticks: [0, 15, 30, 45, 60, 75, 90],
    label: "error of direction, in degrees",
  };
  const y = { range: [0, high], ticks: ticks(high), label: "information (nats)" };
  return plot("Information over the error of direction", width, 300, x, y, (X, Y) => {
    const curve = (name) =>
      path(
        values.map((value, k) => [X(angles[k]), Y(value[name])]),
        ...LOOKS[name],
      );
    const ceiling =
      path(
        [
          [X(0), Y(Math.LN2)],
          [X(90), Y(Math.LN2)],
        ],
        INK,
        "1 3",
        1,
      ) + words(X(90), Y(Math.LN2) - 5, "ln 2", "end");
    const mark = (angle, letter, colour) => {
      const [u, v] = [X(angle), Y(readings(angle, times, length).c)];
      return dot(u, v, colour) + words(u, v - 10, letter);
    };
    return (
      ceiling +
      Object.keys(LOOKS).map(curve).join("") +
      mark(search, "S", SRC) +
      mark(recommendation, "R", REC)
    );
  });
}

function sentence({ search, recommendation, times, length }) {
  const [s, r] = [search, recommendation].map((angle) => readings(angle, times, length));
  const sum = (name) => number(s[name] + r[name], 3);
  const wrong = [search, recommendation].map((angle) => number(100 * flips(angle, length), 0));
  return `Reading (c): search has ${number(s.c, 3)} nats and recommendation ${number(r.c, 3)},
    together ${sum("c")} of at most ${number(2 * Math.LN2, 3)}. The signs of their scores are wrong
    in ${wrong[0]} % and ${wrong[1]} % of the answers. Reading (a) says ${number(s.a, 3)}
    for each, whatever the angles.`;
}

export default widget("Information of two estimates", controls, draw);
