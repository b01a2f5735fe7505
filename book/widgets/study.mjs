// A study to explore: differences from the reference arm and their stars, by metric, worlds, test
// and correction. The data are put into the page by gensr_lib/book/study_data.py: for each world
// the mean difference over users and its standard error, from which every test here follows.
import {
  GREEN,
  INK,
  REC,
  SRC,
  STYLE,
  critical,
  dot,
  follow,
  half,
  number,
  path,
  spreadLaw,
  tail,
  ticks,
  words,
} from "./common.mjs";

const ALPHA = 0.05;
const TASKS = { rec: ["Recommendation", REC], src: ["Search", SRC] };
const TESTS = {
  worlds: "over worlds",
  users: "over users of one world",
  pooled: "over users of all chosen worlds, as if all were one sample",
};
const CORRECTIONS = { none: "none", bonferroni: "Bonferroni", holm: "Holm" };
const [ROW, TOP, BOTTOM, SIDE] = [38, 30, 26, 10]; // of the figures, in pixels

// ---- the tests -----------------------------------------------------------------------------------

/** The paired t-test over the users of one world, from its mean difference and standard error. */
export function ofUsers([difference, se], users) {
  return { difference, se, df: users - 1 };
}

/** The paired t-test over worlds, one number each; with one world there is no standard error. */
export function ofWorlds(pairs) {
  const means = pairs.map(([difference]) => difference);
  const count = means.length;
  const difference = sum(means) / count;
  const square = sum(means.map((mean) => (mean - difference) ** 2)) / (count - 1);
  return { difference, se: count < 2 ? null : Math.sqrt(square / count), df: count - 1 };
}

/** The paired t-test over the users of several worlds, as if the worlds did not matter. */
export function asOneSample(pairs, users) {
  const total = sum(users);
  const difference = sum(pairs.map(([mean], k) => users[k] * mean)) / total;
  const squares = pairs.map(([mean, se], k) => {
    const within = se ** 2 * users[k] * (users[k] - 1);
    return within + users[k] * (mean - difference) ** 2;
  });
  const se = Math.sqrt(sum(squares) / (total - 1) / total);
  return { difference, se, df: total - 1 };
}

/** The two-sided p and the 95 % interval of a t-test; none without a standard error. */
export function judged({ difference, se, df }) {
  if (se === null) return { difference, low: null, high: null, p: null };
  if (se === 0) return { difference, low: difference, high: difference, p: difference ? 0 : 1 };
  const law = spreadLaw(df);
  const reach = critical(ALPHA / 2, law) * se;
  const p = Math.min(1, 2 * tail(Math.abs(difference) / se, law));
  return { difference, low: difference - reach, high: difference + reach, p };
}

/** The p-values of a family of comparisons, corrected for their number. */
export function corrected(p, how) {
  if (how === "bonferroni") return p.map((value) => Math.min(1, p.length * value));
  if (how === "holm") return holm(p);
  return p;
}

/** Holm's: the k-th smallest of n times n - k + 1, and none below one before it. */
function holm(p) {
  const order = p.map((_, k) => k).sort((a, b) => p[a] - p[b]);
  const found = [];
  let highest = 0;
  order.forEach((at, place) => {
    highest = Math.max(highest, Math.min(1, (p.length - place) * p[at]));
    found[at] = highest;
  });
  return found;
}

/** Every arm of a task against the reference: {name, difference, low, high, p, star, worlds}.
 *
 * choice: {metric, test, correction, world, worlds}; worlds are seeds. The family that is corrected
 * is the arms of this task and metric; intervals are of one comparison alone. `worlds` of an arm
 * are its differences in the chosen ones.
 */
export function compared(data, task, choice) {
  const seeds = chosen(choice);
  const places = seeds.map((seed) => data.worlds.indexOf(seed));
  const { users, arms } = data.tasks[task];
  const rows = arms.map(({ name, values }) => {
    const pairs = places.map((place) => values[choice.metric][place]);
    const estimate = {
      worlds: () => ofWorlds(pairs),
      users: () => ofUsers(pairs[0], users[places[0]]),
      pooled: () => asOneSample(pairs, places.map((place) => users[place])),
    }[choice.test]();
    return { name, ...judged(estimate), worlds: pairs.map(([difference]) => difference) };
  });
  if (rows.some(({ p }) => p === null)) return rows.map((row) => ({ ...row, star: false }));
  const p = corrected(
    rows.map((row) => row.p),
    choice.correction,
  );
  return rows.map((row, k) => ({ ...row, p: p[k], star: p[k] < ALPHA }));
}

/** The seeds that a choice is over. */
function chosen({ test, world, worlds }) {
  return test === "users" ? [world] : worlds;
}

function sum(values) {
  return values.reduce((total, value) => total + value, 0);
}

// ---- what is drawn and said ------------------------------------------------------------------------

/** The choice that the panel starts with: the test and the correction that the book uses. */
export function first({ worlds, metrics }) {
  const test = worlds.length > 1 ? "worlds" : "users";
  return { metric: metrics.at(-1), test, correction: "holm", world: worlds[0], worlds };
}

/** {figures, says} of a choice, for a width in pixels. */
export function draw(data, choice, width) {
  if (!chosen(choice).length) return { figures: [], says: "No world is chosen: choose one." };
  const found = Object.keys(data.tasks).map((task) => [task, compared(data, task, choice)]);
  const range = extent(data, choice.metric);
  const wide = found.length > 1 ? half(width) : width;
  return {
    figures: found.map(([task, rows]) => figure(TASKS[task], rows, range, wide)),
    says: sentence(data, choice, found),
  };
}

/** The ends of the axis: the same for all tests, so that intervals can be compared by eye. */
function extent({ tasks }, metric) {
  const pairs = Object.values(tasks).flatMap(({ arms }) => arms.flatMap((a) => a.values[metric]));
  const low = Math.min(0, ...pairs.map(([difference, se]) => difference - 2 * se));
  const high = Math.max(0, ...pairs.map(([difference, se]) => difference + 2 * se));
  return low < high ? [low, high] : [-0.1, 0.1];
}

function figure([task, colour], rows, [low, high], width) {
  const X = (value) => SIDE + ((value - low) / (high - low)) * (width - 2 * SIDE);
  const height = TOP + ROW * rows.length + BOTTOM;
  const floor = height - BOTTOM;
  const axis = marks(low, high).map(
    (at) => upright(at, X(at), rows.length) + words(X(at), floor + 16, at),
  );
  const lines = rows.map((row, k) => line(row, TOP + ROW * k, X, [low, high], width, colour));
  const spoken = rows.map((row) => `${row.name}: ${value(row)}${row.star ? ", star" : ""}`);
  return `<svg role="img" aria-label="${escaped(`${task}. ${spoken.join("; ")}`)}" font-size="12"
    width="${width}" height="${height}" fill="currentColor"><g font-weight="bold">
    ${words(SIDE, 14, task, "start")}</g>${axis.join("")}${lines.join("")}</svg>`;
}

/** Round numbers from low to high, 0 among them. */
function marks(low, high) {
  const step = ticks(high - low)[1];
  const [from, to] = [Math.ceil(low / step - 1e-9), Math.floor(high / step + 1e-9)];
  return Array.from({ length: to - from + 1 }, (_, k) => Number(((from + k) * step).toFixed(6)));
}

/** A line of the grid, in pieces that leave out the rows' words; that at zero is stronger. */
function upright(at, x, rows) {
  const pieces = Array.from({ length: rows }, (_, k) => `M${x} ${TOP + ROW * k + 17}v${ROW - 18}`);
  const opacity = at ? 0.2 : 0.7;
  return `<path d="${pieces.join("")}" stroke="${INK}" stroke-opacity="${opacity}"/>`;
}

/** One arm: its name and numbers, and below them its worlds, its interval and its mean. */
function line(row, top, X, [low, high], width, colour) {
  const y = top + 25;
  const inside = (value) => X(Math.min(high, Math.max(low, value)));
  const worlds = row.worlds.map((value) => {
    const ends = [y - 6, y + 6].map((at) => [X(value), at]);
    return path(ends, INK, "", 1);
  });
  const ends = [row.low, row.high].map(inside);
  const interval = row.p === null ? "" : path(ends.map((x) => [x, y]), colour, "", 3);
  const beyond =
    (row.p !== null && row.low < low ? words(ends[0] - 5, y + 4, "‹", "middle", colour) : "") +
    (row.p !== null && row.high > high ? words(ends[1] + 5, y + 4, "›", "middle", colour) : "");
  const numbers = row.p === null ? value(row) : `${value(row)}, p ${probability(row.p)}`;
  const star = row.star ? " ★" : "";
  return `${words(SIDE, top + 13, escaped(row.name), "start")}
    ${words(width - SIDE, top + 13, numbers + star, "end")}
    <g opacity="0.5">${worlds.join("")}</g>${interval}${beyond}
    ${dot(X(row.difference), y, row.star ? GREEN : colour, !row.star)}`;
}

function value({ difference }) {
  return (difference > 0 ? "+" : "") + number(difference, 4);
}

function probability(p) {
  return p < 0.0005 ? "< .001" : number(p, 3).replace(/^0/, "");
}

function sentence(data, choice, found) {
  const seeds = chosen(choice);
  const said = found.map(([task, rows]) => {
    const stars = rows.filter(({ star }) => star).map(({ name }) => escaped(name));
    const names = stars.length ? `: ${stars.join("; ")}` : "";
    return `<strong>${TASKS[task][0]}: ${stars.length} of ${rows.length} with a star</strong>${names}.`;
  });
  const isLone = choice.test === "worlds" && seeds.length < 2;
  return isLone ? LONE : [...said, MEANS[choice.test](data, seeds), chance(found, choice)].join(" ");
}

const LONE = `One world says nothing about other worlds: this test needs two, so there is no interval
  and no star. Choose another world, or another test.`;

const MEANS = {
  worlds: (_, seeds) => `The sample is ${seeds.length} worlds, with
    ${seeds.length > 2 ? `${seeds.length - 1} degrees` : "one degree"} of freedom: it asks what
    other worlds would show.`,
  users: (data, seeds) => `The sample is ${sample(data, seeds)} of world ${seeds[0]}: it asks what
    other users would show of these very trainings, and nothing of another training or world.`,
  pooled: (data, seeds) => `This is the common mistake where there is more than one world: it takes
    ${sample(data, seeds)} for that many independent answers, though all users of a world share its
    luck and its one training of each arm. No correction mends that.`,
};

/** How many users, by task where tasks differ. */
function sample({ tasks, worlds }, seeds) {
  const counts = Object.entries(tasks).map(([task, { users }]) => [
    TASKS[task][0].toLowerCase(),
    sum(seeds.map((seed) => users[worlds.indexOf(seed)])),
  ]);
  const isSame = counts.every(([, count]) => count === counts[0][1]);
  if (isSame) return `${counts[0][1]} users`;
  return `${counts.map(([task, count]) => `${count} users in ${task}`).join(" and ")}`;
}

function chance(found, { test, correction }) {
  if (test === "pooled") return "";
  const families = found.map(([, rows]) => rows.length);
  const some = Math.max(...families);
  return correction === "none"
    ? `Without a correction, ${some} comparisons of arms that do not differ would have
      ${number(ALPHA * some, 2)} stars on average.`
    : `${CORRECTIONS[correction]} keeps the chance of any false star in a task at 5 % at most.`;
}

function escaped(text) {
  const entities = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };
  return text.replace(/[&<>"]/g, (sign) => entities[sign]);
}

// ---- the panel -------------------------------------------------------------------------------------

const OWN_STYLE = `
  .study form { grid-template-columns: repeat(auto-fit, minmax(min(280px, 100%), 1fr));
    gap: 10px 24px; align-items: start; }
  .study fieldset { border: 0; margin: 0; padding: 0; min-width: 0; }
  .study legend, .study .name { font-weight: bold; padding: 0; }
  .study label { justify-content: start; flex-wrap: nowrap; align-items: start; gap: 8px;
    line-height: 24px; }
  .study fieldset.row { display: flex; flex-wrap: wrap; gap: 0 18px; }
  .study fieldset.row legend { float: left; width: 100%; }
  .study input { flex: none; width: 18px; height: 24px; }
  .study select { font: inherit; color: inherit; background: transparent; border: 1px solid;
    border-radius: 4px; padding: 4px 8px; }
  .study option { color: black; background: white; }
  .study .note { font-size: 13px; opacity: 0.85; }
  .study fieldset[hidden] { display: none; }
`;
const NOTE = `A dot is the mean difference from the reference, filled and green with a star, open
  without; the bar is its 95 % interval, of this comparison alone and never corrected, and ends in an
  angle where it is longer than the axis; thin upright lines are the chosen worlds. p is corrected as
  chosen, within the task.`;

function controls({ metrics, worlds }, start) {
  const options = metrics.map((metric) => {
    const mark = metric === start.metric ? " selected" : "";
    return `<option${mark}>${escaped(metric)}</option>`;
  });
  const seeds = Object.fromEntries(worlds.map((seed) => [seed, seed]));
  return `<label><span class="name">Metric</span>
      <select name="metric">${options.join("")}</select></label>
    ${group("Test", "test", "radio", TESTS, [start.test])}
    ${group("Worlds (seeds)", "worlds", "checkbox", seeds, start.worlds)}
    ${group("World (seed)", "world", "radio", seeds, [start.world])}
    ${group("Correction of p", "correction", "radio", CORRECTIONS, [start.correction])}
    <button type="reset">Reset</button>`;
}

function group(legend, name, type, entries, on) {
  const inputs = Object.entries(entries).map(([key, label]) => {
    const mark = on.map(String).includes(key) ? " checked" : "";
    return `<label><input type="${type}" name="${name}" value="${key}"${mark}>${label}</label>`;
  });
  const look = name === "test" ? "" : ' class="row"';
  return `<fieldset name="of-${name}"${look}><legend>${legend}</legend>${inputs.join("")}</fieldset>`;
}

function choiceOf(form) {
  const given = new FormData(form);
  return {
    metric: given.get("metric"),
    test: given.get("test"),
    correction: given.get("correction"),
    world: Number(given.get("world")),
    worlds: given.getAll("worlds").map(Number),
  };
}

function render({ model, el }) {
  const names = ["title", "reference", "metrics", "worlds", "tasks"];
  const data = Object.fromEntries(names.map((name) => [name, model.get(name)]));
  if (!data.tasks) {
    const why = model.get("missing") ?? "the page was built without its data";
    el.innerHTML = `<p>There is no study to explore here: ${escaped(why)}.</p>`;
    return;
  }
  el.innerHTML = `<style>${STYLE}${OWN_STYLE}</style>
    <div class="live study" role="group" aria-label="${escaped(data.title)}">
    <form>${controls(data, first(data))}</form><p class="reference">Differences from
    <strong>${escaped(data.reference)}</strong>:</p><div class="figures"></div>
    <p aria-live="polite"></p><p class="note">${NOTE.replaceAll(" %", "&nbsp;%")}</p></div>`;
  return follow(el, (form, width) => {
    const choice = choiceOf(form);
    form.querySelector("[name=of-world]").hidden = choice.test !== "users";
    form.querySelector("[name=of-worlds]").hidden = choice.test === "users";
    return draw(data, choice, width);
  });
}

export default { render };
