// How many seeds a star needs: the power of the book's tests where the true effect and the true
// spreads are known (gensr_lib/experiments/significance.py and worlds.py).
import {
  GREEN,
  INK,
  PINK,
  critical,
  dot,
  legend,
  number,
  path,
  plot,
  spreadLaw,
  steps,
  tail,
  widget,
  words,
} from "./common.mjs";

const ALPHA = 0.05;
const SEEDS = [2, 30]; // one seed says nothing about other trainings

/** Standard error and degrees of freedom of the test over users and seeds of one world.
 *
 * The spreads are standard deviations: of users' own effects, of trainings, and of what is left.
 * Freedom is Satterthwaite's, of the expected mean squares.
 */
export function crossed({ users, seeds, byUser, bySeed, rest }) {
  const square = rest ** 2;
  const parts = [
    { value: square + seeds * byUser ** 2, df: users - 1, sign: byUser > 0 ? 1 : 0 },
    { value: square + users * bySeed ** 2, df: seeds - 1, sign: bySeed > 0 ? 1 : 0 },
  ];
  const left = 1 - parts[0].sign - parts[1].sign;
  parts.push({ value: square, df: (users - 1) * (seeds - 1), sign: left });
  const total = parts.reduce((sum, { value, sign }) => sum + sign * value, 0);
  const spread = parts.reduce((sum, { value, df, sign }) => sum + (sign * value) ** 2 / df, 0);
  return { se: Math.sqrt(total / (users * seeds)), df: total ** 2 / spread };
}

/** The same of the t-test over worlds, where each seed draws its users anew. */
export function overWorlds({ users, seeds, byUser, bySeed, rest }) {
  const variance = bySeed ** 2 + (byUser ** 2 + rest ** 2) / users;
  return { se: Math.sqrt(variance / seeds), df: seeds - 1 };
}

/** Probability of a star on the right side: p < 0.05 / variants, Holm's first and hardest step. */
export function power({ se, df }, effect, variants) {
  const law = spreadLaw(df);
  return tail(critical(ALPHA / variants / 2, law), law, effect / se);
}

/** How often the test over users' means over seeds has p < 0.05 though the law has no effect. */
export function falseAlarm(design) {
  const { users, seeds, byUser, rest } = design;
  const seen = Math.sqrt((byUser ** 2 + rest ** 2 / seeds) / users); // it does not see the seeds
  const law = spreadLaw(users - 1);
  const truth = Math.sqrt(seen ** 2 + design.bySeed ** 2 / seeds);
  return 2 * tail((critical(ALPHA / 2, law) * seen) / truth, law);
}

/** How often one variant or more has p < 0.05 by chance: independent exact tests, without Holm. */
export function someAlarm(variants) {
  return 1 - (1 - ALPHA) ** variants;
}

export const controls = [
  {
    name: "effect",
    label: "true effect (NDCG)",
    value: 0.05,
    min: 0,
    max: 0.2,
    step: 0.005,
    unit: "",
  },
  { name: "seeds", label: "seeds", value: 3, min: SEEDS[0], max: SEEDS[1], step: 1, unit: "" },
  {
    name: "users",
    label: "test users",
    value: 500,
    stops: [50, 100, 200, 500, 1000, 2000, 5000],
    unit: "",
  },
  {
    name: "bySeed",
    label: "spread of trainings, or worlds",
    value: 0.03,
    min: 0,
    max: 0.1,
    step: 0.005,
    unit: "",
  },
  {
    name: "byUser",
    label: "spread of users",
    value: 0.25,
    min: 0.05,
    max: 0.5,
    step: 0.05,
    unit: "",
  },
  {
    name: "rest",
    label: "spread of what is left",
    value: 0.2,
    min: 0.05,
    max: 0.5,
    step: 0.05,
    unit: "",
  },
  {
    name: "variants",
    label: "variants compared (Holm)",
    value: 4,
    min: 1,
    max: 16,
    step: 1,
    unit: "",
  },
];

const TESTS = [
  { name: "one world, users and seeds", freedom: crossed, look: [GREEN, ""] },
  { name: "a world for each seed", freedom: overWorlds, look: [PINK, "8 4"] },
];

export function draw(values, width) {
  const counts = steps(SEEDS[0], SEEDS[1], SEEDS[1] - SEEDS[0]);
  const curves = TESTS.map(({ freedom }) =>
    counts.map((seeds) => power(freedom({ ...values, seeds }), values.effect, values.variants)),
  );
  return {
    figures: [figure(counts, curves, values.seeds, width)],
    legend: legend(TESTS.map(({ name, look }) => [name, ...look])),
    says: sentence(values, counts, curves),
  };
}

function figure(counts, curves, seeds, width) {
  const x = { range: SEEDS, ticks: [2, 5, 10, 15, 20, 25, 30], label: "seeds" };
  const y = { range: [0, 1.02], ticks: [0, 0.2, 0.4, 0.6, 0.8, 1], label: "probability of a star" };
  return plot("Power over the number of seeds", width, 280, x, y, (X, Y) => {
    const wanted = path(
      [
        [X(2), Y(0.8)],
        [X(30), Y(0.8)],
      ],
      INK,
      "2 2",
      1.5,
    );
    const lines = curves.map((curve, k) => {
      const [colour, dash] = TESTS[k].look;
      const points = curve.map((value, j) => [X(counts[j]), Y(value)]);
      return path(points, colour, dash) + dot(...points[counts.indexOf(seeds)], colour, k === 1);
    });
    return wanted + words(X(30), Y(0.8) - 5, "80 %", "end") + lines.join("");
  });
}

function sentence(values, counts, curves) {
  const percent = (share) => `${number(100 * share, 0)} %`;
  const now = curves.map((curve) => percent(curve[counts.indexOf(values.seeds)]));
  const enough = curves.map(
    (curve) => counts[curve.findIndex((value) => value >= 0.8)] ?? `more than ${SEEDS[1]}`,
  );
  const takes = values.effect
    ? ` For 80 % it takes ${enough[0]} seeds, or ${enough[1]} worlds.`
    : " Such a star is luck.";
  return `An effect of ${values.effect} gets a star (p &lt; .05 after Holm) with ${values.seeds} seeds in ${now[0]} of
    such experiments, or in ${now[1]} where each seed has a world of its own.${takes} Where nothing is true, the usual test over users
    alone gives a star in ${percent(falseAlarm(values))} of the comparisons instead of
    5 %${several(values.variants, percent)}.`;
}

function several(variants, percent) {
  if (variants === 1) return "";
  return `; of ${variants} independent exact tests without Holm, one at least in
    ${percent(someAlarm(variants))}, with Holm in at most 5 %`;
}

export default widget("How many seeds a star needs", controls, draw);
