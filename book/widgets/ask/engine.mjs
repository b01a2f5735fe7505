// GenSR in a page: what gensr_lib/models/gensr computes for one user, in plain JavaScript. The weights
// are those that gensr_lib/explore/weights.py prepares; equations are those of the paper's section 4.
//
// Matrices lie row by row in a Float64Array. d is the width, P the words of a prompt, S its slots.
import { addTo, added, dot, layerNorm, linear, relu, rmsNorm, rows, sigmoid, softmax, thirds } from "./algebra.mjs";
import { queryTokens, typed } from "./tokenizer.mjs";

export const FORMAT = 1; // of the files, as in gensr_lib/explore/export.py
const CHUNK = 32; // items that are scored at once

/** The model of both files. Throws an error whose message a reader can act on. */
export function load(model, bytes) {
  if (model.format !== FORMAT) throw new Error(`the model has format ${model.format}, and this page reads ${FORMAT}`);
  if (bytes.byteLength !== model.weights.bytes) {
    throw new Error(`${bytes.byteLength} of ${model.weights.bytes} bytes of the weights arrived`);
  }
  if (crc32(new Uint8Array(bytes)) !== model.weights.crc32) throw new Error("the weights were damaged on their way");
  const weights = {};
  for (const [name, [at, ...shape]] of Object.entries(model.weights.tensors)) {
    const count = shape.reduce((a, b) => a * b);
    weights[name] = { data: Float64Array.from(new Float32Array(bytes, 4 * at, count)), shape };
  }
  if (model.views.includes("semantic")) weights["semantic.items"] = meanWords(weights.words, model.items.tokens);
  return { ...model, weights };
}

function crc32(bytes) {
  let crc = -1;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (0xedb88320 & -(crc & 1));
  }
  return ~crc >>> 0;
}

/** s_i: the mean embedding of the tokens of each item's text; row 0 is no item. */
function meanWords({ data, shape: [, d] }, tokens) {
  const items = new Float64Array((tokens.length + 1) * d);
  tokens.forEach((row, i) => {
    for (const token of row) for (let k = 0; k < d; k++) items[(i + 1) * d + k] += data[token * d + k] / row.length;
  });
  return { data: items, shape: [tokens.length + 1, d] };
}

/** Which events [item, query] the model reads, by position, oldest first; query -1 is a recommendation. */
export function readEvents(window, events) {
  const clicks = events.flatMap(([, query], at) => (query < 0 ? [{ task: "rec", events: [at] }] : []));
  const recent = [...newest(clicks, window.rec), ...newest(sessions(events, window.clicks), window.src)];
  const kept = recent.filter(({ task }) => window.of.includes(task));
  // A session stands where its last click does.
  kept.sort((a, b) => a.events.at(-1) - b.events.at(-1));
  return newest(kept.flatMap((one) => one.events), window.items);
}

const newest = (list, n) => list.slice(Math.max(list.length - n, 0));

/** Consecutive searches with one query are one session, of at most some clicks. */
function sessions(events, most) {
  const found = [];
  events.forEach(([, query], at) => {
    if (query < 0) return;
    const last = found.at(-1);
    const goesOn = last && last.events.at(-1) === at - 1 && last.query === query && last.events.length < most;
    if (goesOn) last.events.push(at);
    else found.push({ task: "src", query, events: [at] });
  });
  return found;
}

/** What an answer needs of a user and a query, worked out once for all items.
 *
 * events: [item, query] as in `readEvents`. query: text; '' asks for a recommendation.
 */
export function question(page, events, query = "") {
  const text = typed(query);
  const task = text ? "src" : "rec";
  if (!page.prompts[task]) throw new Error(`this model was not trained for ${text ? "search" : "recommendation"}`);
  const read = readEvents(page.history, events);
  const items = read.map((at) => events[at][0]);
  const views = Object.fromEntries(page.views.map((view) => [view, encode(page, view, items)]));
  const tokens = [...page.prompts[task], ...queryTokens(page.tokenizer, text, page.query)];
  return { read, views, prompt: readWords(page, tokens) };
}

/** Eq. 3 and 4: the states of a history in a view, as keys and values of its filter. */
function encode(page, view, items) {
  const at = (name) => page.weights[`${view}.${name}`];
  const d = at("items").shape[1];
  let x = rows(at("items"), items);
  for (let k = 0; k < x.length; k++) x[k] += at("position").data[k];
  for (let layer = 0; layer < page.view.layers; layer++) {
    const part = (name) => [at(`${layer}.${name}.map`), at(`${layer}.${name}.bias`)];
    const [q, k, v] = thirds(linear(x, ...part("qkv")), d);
    const found = linear(selfAttention(q, k, v, d, page.view.heads), ...part("out"));
    x = layerNorm(added(x, found), at(`${layer}.norm1.scale`), at(`${layer}.norm1.bias`), page.view.epsilon);
    const inner = linear(relu(linear(x, ...part("inner"))), ...part("outer"));
    x = layerNorm(added(x, inner), at(`${layer}.norm2.scale`), at(`${layer}.norm2.bias`), page.view.epsilon);
  }
  return { keys: linear(x, at("filter.key")), values: linear(x, at("filter.value")), n: items.length };
}

function selfAttention(q, k, v, d, heads) {
  const out = new Float64Array(q.length);
  const each = new Float64Array(q.length / d);
  for (let row = 0; row < q.length / d; row++) {
    for (let head = 0; head < heads; head++) attend(q, row, k, v, d, heads, head, each, out);
  }
  return out;
}

/** One head's weights over all keys, left in `each`; the sum of values goes to `out`. */
function attend(q, row, k, v, d, heads, head, each, out) {
  const width = d / heads;
  const [from, begin] = [row * d + head * width, head * width];
  for (let j = 0; j < each.length; j++) {
    let score = 0;
    for (let i = 0; i < width; i++) score += q[from + i] * k[j * d + begin + i];
    each[j] = score / Math.sqrt(width);
  }
  softmax(each);
  for (let j = 0; j < each.length; j++) {
    for (let i = 0; i < width; i++) out[from + i] += each[j] * v[j * d + begin + i];
  }
}

/** Eq. 5 and 6: the history as each candidate sees it, (C, d), and its weights, (C, N). */
export function softFilter(page, view, { keys, values, n }, candidates) {
  const d = page.weights[`${view}.items`].shape[1];
  const q = linear(candidates, page.weights[`${view}.filter.query`]);
  const out = new Float64Array(q.length);
  const weights = new Float64Array((q.length / d) * n);
  const each = new Float64Array(n);
  for (let row = 0; row < q.length / d; row++) {
    for (let head = 0; head < page.view.heads; head++) {
      attend(q, row, keys, values, d, page.view.heads, head, each, out);
      for (let j = 0; j < n; j++) weights[row * n + j] += each[j] / page.view.heads;
    }
  }
  return { filtered: out, weights };
}

/** Eq. 7, first part: the prompt's words, which see each other and no slot, through T5's encoder. */
function readWords(page, tokens) {
  const { weights, reader } = page;
  const places = { words: [], slots: [] };
  tokens.forEach((token, at) => places[typeof token === "number" ? "words" : "slots"].push(at));
  let x = rows(weights.words, tokens.filter((token) => typeof token === "number"));
  const d = weights.words.shape[1];
  const among = biases(page, places.words, places.words);
  const prompt = { slots: places.slots.map((at) => tokens[at]), layers: [] };
  for (let layer = 0; layer < reader.layers; layer++) {
    const [q, k, v] = thirds(linear(rmsNorm(x, d, reader.epsilon), weights[`reader.${layer}.qkv.map`]), d);
    prompt.layers.push({ k, v });
    const found = overPrompt(reader.heads, d, q, places.words.length, { k, v }, among);
    x = through(page, `reader.${layer}`, x, found);
  }
  prompt.states = rmsNorm(x, d, reader.epsilon);
  prompt.toWords = biases(page, places.slots, places.words);
  prompt.toSlots = biases(page, places.slots, places.slots);
  return prompt;
}

/** T5's bias of position for each head, from one list of places to another: (h, from, to). */
function biases({ weights, reader }, from, to) {
  const table = weights["reader.distances"].data;
  const found = new Float64Array(reader.heads * from.length * to.length);
  from.forEach((a, i) => {
    to.forEach((b, j) => {
      const row = bucket(b - a, reader) * reader.heads;
      for (let h = 0; h < reader.heads; h++) found[(h * from.length + i) * to.length + j] = table[row + h];
    });
  });
  return found;
}

/** T5's bucket of a distance: half of them for each direction, exact when near, in logs when far. */
function bucket(distance, { buckets, farthest }) {
  const half = buckets / 2;
  const exact = half / 2;
  const far = Math.abs(distance);
  const log = exact + Math.floor((Math.log(far / exact) / Math.log(farthest / exact)) * (half - exact));
  return (distance > 0 ? half : 0) + (far < exact ? far : Math.min(log, half - 1));
}

/** Attention of groups of S queries over the prompt's words and, if there are any, the group's own
 * slots: q (G * S, d) -> (G * S, d). T5's scores are not scaled.
 */
function overPrompt(heads, d, q, S, words, toWords, slots, toSlots) {
  const [P, width] = [words.k.length / d, d / heads];
  const own = slots ? S : 0;
  const each = new Float64Array(P + own);
  const out = new Float64Array(q.length);
  for (let row = 0; row < q.length / d; row++) {
    const [place, group] = [row % S, row - (row % S)];
    for (let h = 0; h < heads; h++) {
      const begin = h * width;
      const at = row * d + begin;
      const bias = h * S + place;
      for (let j = 0; j < P; j++) each[j] = toWords[bias * P + j] + dot(q, at, words.k, j * d + begin, width);
      for (let j = 0; j < own; j++) {
        each[P + j] = toSlots[bias * S + j] + dot(q, at, slots.k, (group + j) * d + begin, width);
      }
      softmax(each);
      for (let j = 0; j < P; j++) addTo(out, at, each[j], words.v, j * d + begin, width);
      for (let j = 0; j < own; j++) addTo(out, at, each[P + j], slots.v, (group + j) * d + begin, width);
    }
  }
  return out;
}

/** The rest of a layer of T5: what attention found, then the feed-forward, each added. */
function through({ weights, reader }, name, x, found) {
  const after = added(x, linear(found, weights[`${name}.out.map`]));
  const d = weights.words.shape[1];
  const inner = relu(linear(rmsNorm(after, d, reader.epsilon), weights[`${name}.inner.map`]));
  return added(after, linear(inner, weights[`${name}.outer.map`]));
}

/** Scores of items, log P(Yes) - log P(No), a chunk at a time: yields how many are done.
 *
 * zeroed: slots that hold zeros instead, to see what rests on them.
 */
export function* scoring(page, asked, items, zeroed = []) {
  const scores = new Float64Array(items.length);
  for (let from = 0; from < items.length; from += CHUNK) {
    scores.set(scoreChunk(page, asked, items.slice(from, from + CHUNK), zeroed), from);
    yield from;
  }
  return scores;
}

/** All of `scoring` at once. */
export function score(page, asked, items, zeroed = []) {
  const steps = scoring(page, asked, items, zeroed);
  for (;;) {
    const { done, value } = steps.next();
    if (done) return value;
  }
}

function scoreChunk(page, { views, prompt }, items, zeroed) {
  const { weights, reader } = page;
  const d = weights.words.shape[1];
  const S = prompt.slots.length;
  let x = inSlots(fill(page, views, items), prompt.slots, zeroed, items.length, d);
  prompt.layers.forEach((words, layer) => {
    const [q, k, v] = thirds(linear(rmsNorm(x, d, reader.epsilon), weights[`reader.${layer}.qkv.map`]), d);
    const found = overPrompt(reader.heads, d, q, S, words, prompt.toWords, { k, v }, prompt.toSlots);
    x = through(page, `reader.${layer}`, x, found);
  });
  return decode(page, prompt.states, rmsNorm(x, d, reader.epsilon), S);
}

/** What each slot holds, by its name: (C, d) each. */
function fill(page, views, items) {
  const slots = {};
  for (const view of page.views) {
    const candidates = rows(page.weights[`${view}.items`], items);
    const { filtered } = softFilter(page, view, views[view], candidates);
    const into = view === "cf" ? [page.weights["cf.projection.map"], page.weights["cf.projection.bias"]] : null;
    slots[`user_${view}`] = into ? linear(filtered, ...into) : filtered;
    slots[`item_${view}`] = into ? linear(candidates, ...into) : candidates;
  }
  return slots;
}

/** The slots of each candidate, one behind the other in the prompt's order: (C * S, d). */
function inSlots(slots, names, zeroed, C, d) {
  const x = new Float64Array(C * names.length * d);
  names.forEach((name, s) => {
    if (zeroed.includes(name)) return;
    for (let c = 0; c < C; c++) x.set(slots[name].subarray(c * d, (c + 1) * d), (c * names.length + s) * d);
  });
  return x;
}

/** The decoder's one step: each of its heads looks at the whole prompt, words and slots: (C,) scores. */
function decode(page, words, slots, S) {
  const { weights, reader } = page;
  const { data: look, shape: [heads, d] } = weights["decoder.look"];
  const [P, C, width] = [words.length / d, slots.length / d / S, d / heads];
  const ofWords = linear(words, weights["decoder.look"]); // (P, h), the same for all candidates
  const found = new Float64Array(C * d);
  const each = new Float64Array(P + S);
  const seen = new Float64Array(d);
  for (let c = 0; c < C; c++) {
    for (let h = 0; h < heads; h++) {
      for (let j = 0; j < P; j++) each[j] = ofWords[j * heads + h];
      for (let j = 0; j < S; j++) each[P + j] = dot(look, h * d, slots, (c * S + j) * d, d);
      softmax(each);
      seen.fill(0);
      for (let j = 0; j < P; j++) addTo(seen, 0, each[j], words, j * d, d);
      for (let j = 0; j < S; j++) addTo(seen, 0, each[P + j], slots, (c * S + j) * d, d);
      for (let k = h * width; k < (h + 1) * width; k++) {
        found[c * d + k] = dot(weights["decoder.value.map"].data, k * d, seen, 0, d);
      }
    }
  }
  const start = new Float64Array(C * d);
  for (let c = 0; c < C; c++) start.set(weights["decoder.start"].data, c * d);
  const state = rmsNorm(through(page, "decoder", start, found), d, reader.epsilon);
  const last = weights.answer.data.map((number, k) => number * weights["decoder.scale"].data[k]);
  return Float64Array.from({ length: C }, (_, c) => dot(state, c * d, last, 0, d));
}

/** What the page shows of one item: as `Ranker.explain` of the library.
 *
 * Returns score, yes (its probability), weights by view over the events `asked.read`, and by part how much lower
 * the score is when that part's slots hold zeros.
 */
export function explain(page, asked, item) {
  const [whole] = score(page, asked, [item]);
  const found = { score: whole, yes: sigmoid(whole), weights: {}, parts: {} };
  for (const view of page.views) {
    const candidate = rows(page.weights[`${view}.items`], [item]);
    found.weights[view] = softFilter(page, view, asked.views[view], candidate).weights;
    found.parts[view] = whole - score(page, asked, [item], [`user_${view}`, `item_${view}`])[0];
  }
  found.parts.history = whole - score(page, asked, [item], ["user_cf", "user_semantic"])[0];
  return found;
}

/** Items by falling score, equal ones in the order of the catalogue, without some; scores of item i at i - 1. */
export function ranked(scores, without = new Set()) {
  const items = Array.from(scores, (_, i) => i + 1).filter((item) => !without.has(item));
  return items.sort((a, b) => scores[b - 1] - scores[a - 1] || a - b);
}
