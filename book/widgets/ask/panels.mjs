// What the panel of `ask.mjs` shows, as HTML: pure functions of the state.
import { sigmoid } from "./algebra.mjs";

const LONGEST = 80; // letters of a query in a heading
const TASKS = { rec: "Recommendation", src: "Search" };
const PARTS = { cf: "CF view", semantic: "semantic view", history: "user's history" };

export const STYLE = `
  .ask { --rule: color-mix(in srgb, currentColor 25%, transparent);
    --edge: color-mix(in srgb, currentColor 45%, transparent);
    --shade: color-mix(in srgb, currentColor 12%, transparent);
    container-type: inline-size; font-size: 15px; line-height: 1.4; text-align: left; }
  .ask > div { border: 1px solid var(--rule); border-radius: 6px; padding: 12px; }
  .ask h4 { font-size: 15px; font-weight: 600; margin: 0 0 6px; overflow-wrap: anywhere; }
  .ask p { margin: 6px 0; }
  .ask .quiet { opacity: 0.75; font-size: 13px; }
  .ask .fields { display: grid; grid-template-columns: 1fr 1fr; gap: 8px 16px; margin-bottom: 8px; }
  .ask .fields label { display: grid; gap: 2px; font-size: 13px; }
  .ask input, .ask select { font: inherit; font-size: 16px; color: inherit; background: transparent; width: 100%;
    box-sizing: border-box; border: 1px solid var(--edge);
    border-radius: 4px; padding: 5px 8px; min-height: 36px; }
  .ask option { color: #111; background: #fff; }
  .ask input::placeholder { color: inherit; opacity: 0.6; }
  .ask button { font: inherit; color: inherit; background: none; border: 0; padding: 0; cursor: pointer;
    text-align: left; }
  .ask .plain { border: 1px solid var(--edge); border-radius: 4px; padding: 4px 10px; }
  .ask :focus-visible { outline: 2px solid currentColor; outline-offset: 1px; }
  .ask .hint { font-size: 13px; text-decoration: underline; min-height: 24px; }
  .ask .body { display: grid; grid-template-columns: minmax(210px, 4fr) 7fr; gap: 16px; }
  .ask .lists { display: grid; grid-template-columns: 1fr 1fr; gap: 16px; align-content: start; }
  .ask .lists > *, .ask .body > * { min-width: 0; }
  .ask ol, .ask ul { list-style: none; margin: 0; padding: 0; }
  .ask .events { max-height: 640px; overflow-y: auto; border-top: 1px solid var(--rule); background:
    linear-gradient(var(--gensr-page, Canvas) 40%, transparent) top / 100% 40px no-repeat local,
    linear-gradient(to top, var(--gensr-page, Canvas) 40%, transparent) bottom / 100% 40px no-repeat local,
    radial-gradient(farthest-side at 50% 0, #8889, transparent) top / 100% 12px no-repeat scroll,
    radial-gradient(farthest-side at 50% 100%, #8889, transparent) bottom / 100% 12px no-repeat scroll; }
  .ask .events small { display: block; opacity: 0.75; font-size: 12px; }
  .ask .events li { display: grid; grid-template-columns: 12px 1fr 28px; align-items: center; gap: 6px;
    min-height: 34px; padding: 2px 0;
    border-bottom: 1px solid var(--shade); }
  .ask .events .old { opacity: 0.45; }
  .ask .events button { min-height: 28px; min-width: 28px; text-align: center; border-radius: 4px; }
  .ask .events button:hover, .ask .found ol button:hover { background: var(--shade); }
  .ask .marks { display: flex; flex-wrap: wrap; gap: 2px 12px; }
  .ask .mark { display: inline-flex; gap: 4px; align-items: center; white-space: nowrap; }
  .ask .dot { flex: none; width: 10px; height: 10px; border-radius: 50%; border: 2px solid; box-sizing: border-box; }
  .ask .dot.rec { border-color: var(--gensr-rec, #0072B2); background: var(--gensr-rec, #0072B2); }
  .ask .dot.src { border-color: var(--gensr-src, #D55E00); }
  .ask .bar { display: block; height: 4px; margin-top: 2px; border-radius: 2px; min-width: 1px; }
  .ask .cf { background: var(--gensr-green, #009E73); } .ask .semantic { background: var(--gensr-pink, #CC79A7); }
  .ask .history { background: var(--gensr-gold, #E69F00); }
  .ask .found ol button { display: grid; grid-template-columns: 26px 1fr auto; gap: 2px 6px; width: 100%;
    padding: 4px; border-radius: 4px; align-items: baseline; }
  .ask .found [aria-pressed="true"] { background: color-mix(in srgb, currentColor 14%, transparent); }
  .ask .found small { grid-column: 2 / 4; opacity: 0.75; font-size: 12px; }
  .ask .number { font-variant-numeric: tabular-nums; }
  .ask .key { display: inline-block; width: 14px; height: 6px; border-radius: 2px; vertical-align: middle; }
  .ask .found[aria-busy="true"] > :not(h4), .ask .detail[aria-busy="true"] { opacity: 0.35; }
  .ask .adder { position: relative; margin: 6px 0; }
  .ask .offers button { display: block; width: 100%; padding: 6px 8px; min-height: 34px; }
  .ask .offers button:hover { background: var(--shade); }
  .ask .parts { display: grid; grid-template-columns: max-content 1fr max-content; gap: 4px 10px;
    align-items: center; }
  .ask .track { display: grid; grid-template-columns: 1fr 1fr; }
  .ask .track .bar { height: 10px; margin: 0; }
  .ask .track .less { justify-self: end; }
  .ask .track > :last-child { border-left: 1px solid currentColor; }
  .ask .detail { margin-top: 12px; padding-top: 10px; border-top: 1px solid var(--rule); }
  @container (max-width: 560px) {
    .ask .body, .ask .fields { grid-template-columns: 1fr; }
    .ask .lists { grid-template-columns: 1fr; }
    .ask .fields label:has([name="query"]) { order: 1; }
    .ask .fields span:has(.searched) { order: 2; }
    .ask .fields span:has([hidden]) { display: none; }
    .ask .events { max-height: 260px; }
  }
`;

export function escaped(text) {
  return String(text).replace(/[&<>"']/g, (letter) => `&#${letter.charCodeAt(0)};`);
}

/** A number for reading, with a true minus sign. */
export function number(value, digits = 2) {
  return value.toFixed(digits).replace(/^-(?=0\.?0*$)/, "").replace("-", "−");
}

const count = (n, one) => `${n.toLocaleString("en")} ${one}${n === 1 ? "" : "s"}`;

/** The whole panel, empty: what does not change while a reader asks. */
export function frame(page) {
  const options = page.users.map(({ id }) => `<option>${escaped(id)}</option>`).join("");
  const lists = Object.keys(page.prompts).map((task) => `<section class="found" data-task="${task}"></section>`);
  return `<div><form class="fields">
      <label>a user's history to begin with
        <select name="user"><option value="">nobody: an empty history</option>${options}</select></label>
      <label>query <input name="query" type="search" autocomplete="off" spellcheck="false"
        placeholder="empty: recommendation alone"></label>
      <span><button type="button" class="hint anew"></button></span>
      <span><button type="button" class="hint searched"></button></span>
    </form>
    <div class="body"><section class="past"></section><div class="lists">${lists.join("")}</div></div>
    <section class="detail"></section>
    <p class="quiet"><span role="status"></span></p>
    <p class="quiet">${origin(page)}</p></div>`;
}

function origin({ provenance: from, items }) {
  return `GenSR of the run ${escaped(from.run)} on the data set ${escaped(from.dataset)}
    (${count(items.ids.length, "item")}, data ${escaped(from.dataset_hash.slice(0, 8))}), seed ${from.seed}.
    It runs in your browser; nothing that you type leaves it.`;
}

/** The history, newest first; `weights` by view over the events that were read. */
export function past(page, events, read, weights) {
  const place = new Map(read.map((at, j) => [at, j]));
  const highest = Math.max(0.001, ...Object.values(weights).flatMap((row) => Array.from(row)));
  const rows = events.map((event, at) => {
    const bars = place.has(at) ? weightBars(weights, place.get(at), highest) : "";
    return click(page, event, at, place.has(at), bars);
  });
  const list = `<ul class="events" tabindex="0" aria-label="clicks of the history, newest first">
    ${rows.reverse().join("")}</ul>`;
  const none = "<p>Empty. GenSR knows nothing of this user: it ranks by the items alone, and by the query.</p>";
  const { rec, src } = page.history;
  const most = `the last ${rec} recommendations and the last ${src} searches`;
  const left = `<p class="quiet">GenSR reads ${most}; the others are pale.</p>`;
  const isCut = events.length > read.length;
  return `<h4>History, newest first: ${count(events.length, "click")}${isCut ? `, ${read.length} read` : ""}</h4>
    <div class="adder"><input name="add" placeholder="add a recommendation click: part of a title"
      aria-label="add an item by its title; Enter takes the first, Escape none" autocomplete="off"><div class="offers"></div></div>
    <p class="quiet marks"><span class="mark"><span class="dot rec"></span> recommendation</span>
      <span class="mark"><span class="dot src"></span> search</span>${keys(weights)}</p>
    ${rows.length ? list : none}${isCut ? left : ""}`;
}

/** One click of the history, with a button that takes it out. */
function click(page, [item, query], at, isRead, bars) {
  const title = escaped(page.items.titles[item - 1]);
  const how = `clicked in ${query < 0 ? "recommendation" : "search"}${isRead ? "" : "; too old to be read"}`;
  const words = query < 0 ? "" : `<small>“${escaped(page.queries[query])}”</small>`;
  return `<li class="${isRead ? "" : "old"}" title="${how}"><span class="dot ${query < 0 ? "rec" : "src"}"></span>
    <span>${title}${words}${bars}</span>
    <button type="button" data-drop="${at}" aria-label="remove ${title} from the history">×</button></li>`;
}

function weightBars(weights, j, most) {
  const bar = (view) => `<span class="bar ${view}" style="width:${((100 * weights[view][j]) / most).toFixed(1)}%"
    title="weight in the ${PARTS[view]}: ${number(weights[view][j], 3)}"></span>`;
  return Object.keys(weights).map(bar).join("");
}

function keys(weights) {
  const key = (view) => `<span class="mark"><span class="key ${view}"></span> weight, ${PARTS[view]}</span>`;
  return Object.keys(weights).map(key).join("");
}

/** Items that a reader may add, for a part of a title or an id; those in the history once more. */
export function offers(page, text, events = [], most = 6) {
  const wanted = text.trim().toLowerCase();
  if (!wanted) return "";
  const { titles, ids } = page.items;
  const fits = (i) => titles[i].toLowerCase().includes(wanted) || ids[i].toLowerCase() === wanted;
  const found = ids.map((_, i) => i).filter(fits);
  if (!found.length) return `<p class="quiet">No item's title has “${escaped(text.trim())}” in it.</p>`;
  const had = new Set(events.map(([item]) => item));
  const offer = (i) => `<button type="button" data-add="${i + 1}">+ ${escaped(titles[i])}
    ${had.has(i + 1) ? '<span class="quiet">(once more)</span>' : ""}</button>`;
  const more = `<p class="quiet">and ${found.length - most} more: type more of the title</p>`;
  return found.slice(0, most).map(offer).join("") + (found.length > most ? more : "");
}

/** The heading of a list, as text. */
export function titled(task, query) {
  const shown = query?.length > LONGEST ? `${query.slice(0, LONGEST)} …` : query;
  return shown ? `${TASKS[task]}: ${shown}` : TASKS[task];
}

/** A ranked list; `answer` is {query, events, asked, items, scores} with items by rank, or has an `error`. */
export function list(page, task, answer, shown, picked) {
  const name = `<span class="name">${escaped(titled(task, answer?.query))}</span>`;
  const title = `<h4>${name} <span class="quiet progress"></span></h4>`;
  const wait = task === "src" ? "Type a query, and the same model ranks the same items for it." : "";
  if (!answer || answer.error) return `${title}<p>${escaped(answer?.error ?? wait)}</p>`;
  const rows = answer.items.slice(0, shown).map((item, k) => found(page, answer, item, k + 1, item === picked));
  const left = answer.items.length - rows.length;
  const next = Math.min(left, shown < 50 ? 50 - shown : left);
  const more = `<button type="button" class="plain" data-more="${task}">
    ${next < left ? `${next} more of` : "the other"} ${left.toLocaleString("en")}</button>`;
  return `${title}
    <p class="quiet">of ${count(answer.items.length, "item")} that the history has not; at the right P(Yes); choose one to see why</p>
    <ol>${rows.join("")}</ol>${left > 0 ? more : ""}`;
}

/** One item of a list, as a button that looks into it. */
function found({ items }, { scores }, item, rank, isPicked) {
  const kind = items.categories[items.category[item - 1]] || "no text";
  return `<li><button type="button" data-item="${item}" aria-pressed="${isPicked}">
    <span class="number">${rank}</span><span>${escaped(items.titles[item - 1])}</span>
    <span class="number">${number(sigmoid(scores[item - 1]), 3)}</span><small>${escaped(kind)}</small></button></li>`;
}

/** What one item's answer rests on: as `Ranker.explain`. */
export function detail(page, answer, item, { score, yes, weights, parts }) {
  const most = Math.max(0.01, ...Object.values(parts).map(Math.abs));
  const shown = Object.entries(parts).filter(([part]) => part !== "history" || answer.asked.read.length);
  const rows = shown.map(([part, value]) => partBar(part, value, most));
  const what = answer.query ? `for “${escaped(answer.query)}”` : "without a query";
  return `<h4>${escaped(page.items.titles[item - 1])}, ${what}</h4>
    <p>P(Yes) is ${number(yes, 3)}, a score (logit) of ${number(score)}: rank ${answer.items.indexOf(item) + 1}.
      ${looks(page, weights, answer)}</p>
    <p class="quiet">How much lower the score is when that part's slots of the prompt hold zeros
      (they do not add up):</p>
    <div class="parts">${rows.join("")}</div>`;
}

/** To the right of the middle, or to its left where the score is higher without the part. */
function partBar(part, value, most) {
  const width = `width:${((100 * Math.abs(value)) / most).toFixed(1)}%`;
  const bar = `<span class="bar ${part} ${value < 0 ? "less" : ""}" style="${width}"></span>`;
  const sides = value < 0 ? `${bar}<span></span>` : `<span></span><span>${bar}</span>`;
  return `<span>${PARTS[part]}</span><span class="track">${sides}</span><span class="number">${number(value)}</span>`;
}

function looks(page, weights, { events, asked: { read } }) {
  if (!read.length) return "";
  const name = (view) => {
    const most = Math.max(...weights[view]);
    if (most - Math.min(...weights[view]) < 1e-4) return `at all of it alike in the ${PARTS[view]}`;
    const best = weights[view].indexOf(most);
    const title = escaped(page.items.titles[events[read[best]][0] - 1]);
    return `in the ${PARTS[view]} most at ${title} (${number(weights[view][best], 3)})`;
  };
  return `Of the history the soft filter looks ${Object.keys(weights).map(name).join(", ")};
    equal weights would be ${number(1 / read.length, 3)}.`;
}
