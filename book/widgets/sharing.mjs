// Two linear tasks, one shared ŵ or one each: the closed form of chapter 10, to first order in 1/n.
import {
  GREEN,
  INK,
  PINK,
  dot,
  half,
  legend,
  number,
  path,
  plot,
  steps,
  ticks,
  widget,
  words,
} from "./common.mjs";

/** q: the variance of a task's own ŵ across w from n rows, in squared lengths of w. */
export function variance(n, d, noise) {
  return ((d - 1) * noise ** 2) / n;
}

/** Share of the signal that separate weights miss: the squared sine of ŵ's angle to w. */
export function separateMisses(n, d, noise) {
  return 1 - 1 / (1 + variance(n, d, noise));
}

/** The same of shared weights: half the variance, and `angle` / 2 from each task in the limit. */
export function sharedMisses(angle, n, d, noise) {
  return 1 - Math.cos((angle * Math.PI) / 360) ** 2 / (1 + variance(n, d, noise) / 2);
}

/** The rows per task above which separate weights miss less: ∞ at 0°, and 0 from 90° on. */
export function crossingRows(angle, d, noise) {
  const cosine = Math.cos((angle * Math.PI) / 180);
  return angle >= 90 ? 0 : variance(1, d, noise) / (1 / cosine - 1);
}

/** The angle in degrees below which shared weights miss less. */
export function boundary(n, d, noise) {
  return (Math.acos(1 / (1 + variance(n, d, noise))) * 180) / Math.PI;
}

/** Information of a score about its task's Y, in nats (reading b), where it misses a share. */
export function information(misses, noise) {
  return -Math.log1p(-(1 - misses) / (1 + noise ** 2)) / 2;
}

export const ROWS = [15, 20, 30, 50, 80, 130, 200, 320, 500, 800]; // those of chapter 10

export const controls = [
  {
    name: "angle",
    label: "angle between the tasks",
    value: 30,
    min: 0,
    max: 120,
    step: 1,
    unit: "°",
  },
  { name: "rows", label: "rows per task <i>n</i>", value: 50, stops: ROWS, unit: "" },
  { name: "features", label: "features <i>d</i>", value: 10, min: 2, max: 12, step: 1, unit: "" },
  {
    name: "noise",
    label: "noise <i>σ</i>, in lengths of <i>w</i>",
    value: 1,
    min: 0.1,
    max: 2,
    step: 0.1,
    unit: "",
  },
];

export function draw(values, width) {
  return {
    figures: [misses(values, half(width)), map(values, half(width))],
    legend: legend([
      ["one shared <i>ŵ</i>", PINK],
      ["one <i>ŵ</i> for each task", GREEN, "8 4"],
      ["where they are equal", INK, "2 2"],
    ]),
    says: sentence(values),
  };
}

function rowAxis() {
  return {
    range: [ROWS[0], ROWS.at(-1)],
    ticks: [15, 50, 200, 800],
    label: "rows per task n",
    log: true,
  };
}

function misses({ angle, rows, features, noise }, width) {
  const sizes = steps(Math.log(ROWS[0]), Math.log(ROWS.at(-1)), 60).map(Math.exp);
  const lines = [
    [(n) => sharedMisses(angle, n, features, noise), PINK, ""],
    [(n) => separateMisses(n, features, noise), GREEN, "8 4"],
  ];
  const highest = Math.max(...lines.flatMap(([law]) => sizes.map(law)));
  const y = {
    range: [0, highest * 1.05],
    ticks: ticks(highest * 1.05),
    label: "share of the signal missed",
  };
  return plot("Excess error over the rows", width, 280, rowAxis(), y, (X, Y) => {
    const curves = lines.map(([law, ...look]) =>
      path(
        sizes.map((n) => [X(n), Y(law(n))]),
        ...look,
      ),
    );
    const marks = lines.map(([law, colour]) => dot(X(rows), Y(law(rows)), colour));
    const n = crossingRows(angle, features, noise);
    const isSeen = n >= ROWS[0] && n <= ROWS.at(-1);
    const upright = path(
      [
        [X(n), Y(0)],
        [X(n), Y(highest)],
      ],
      INK,
      "2 2",
      1.5,
    );
    return (
      curves.join("") +
      (isSeen ? upright + words(X(n), Y(highest) - 4, Math.round(n)) : "") +
      marks.join("")
    );
  });
}

function map({ angle, rows, features, noise }, width) {
  const sizes = steps(Math.log(ROWS[0]), Math.log(ROWS.at(-1)), 60).map(Math.exp);
  const y = {
    range: [0, 120],
    ticks: [0, 30, 60, 90, 120],
    label: "angle between the tasks (degrees)",
  };
  return plot("Where to share", width, 280, rowAxis(), y, (X, Y) => {
    const edge = path(
      sizes.map((n) => [X(n), Y(boundary(n, features, noise))]),
      INK,
      "2 2",
      1.5,
    );
    const names =
      words(X(250), Y(100), "separate is better") + words(X(22), Y(6), "share", "start");
    return (
      edge +
      names +
      dot(X(rows), Y(angle), isSharedBetter(angle, rows, features, noise) ? PINK : GREEN)
    );
  });
}

function isSharedBetter(angle, rows, features, noise) {
  return sharedMisses(angle, rows, features, noise) < separateMisses(rows, features, noise);
}

function sentence({ angle, rows, features, noise }) {
  const [shared, own] = [
    sharedMisses(angle, rows, features, noise),
    separateMisses(rows, features, noise),
  ];
  const both = [shared, own].map((share) => number(2 * information(share, noise), 3));
  return `With ${rows} rows per task, shared weights miss ${number(100 * shared, 1)} % of the signal
    and separate ones ${number(100 * own, 1)} %; in information about both tasks, ${both[0]} against
    ${both[1]} nats. ${verdict(crossingRows(angle, features, noise))} The closed form is of first
    order in 1/<i>n</i>: its boundary is too low where rows are hardly more than features.`;
}

function verdict(n) {
  if (n === Infinity) return "Sharing is better for any number of rows: the tasks are equal.";
  if (n < 1) return "Sharing is never better.";
  const rows = Math.round(n).toLocaleString("en");
  return `Sharing is better up to about ${rows} rows per task, and no longer beyond.`;
}

export default widget("To share or to separate", controls, draw);
