// The pocket tokenizer (gensr_lib/models/language_model.py) for any text that a reader types: words
// that are found whole, NFKC, lower case, a mark before each word, punctuation apart, and pairs of
// tokens merged in the order in which training found them.

// What Python's str.strip takes for space: other than JavaScript's trim in a few characters.
const SPACE = "\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";
const OUTER = new RegExp(`^[${SPACE}]+|[${SPACE}]+$`, "gu");
const BLANK = /^\p{White_Space}*/u;
const BLANK_END = /\p{White_Space}*$/u;
const LETTER = /^[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]$/u; // what a word is made of
const PUNCTUATION = /^[\p{P}$+<=>^`|~]$/u;
const MARK = "▁"; // stands for the space before a word

/** A query as the library takes it: without the space around it. */
export function typed(text) {
  return (text.toWellFormed?.() ?? text).replace(OUTER, ""); // older browsers lack it
}

/** Token ids of a query, with the end token, cut as the library cuts it. */
export function queryTokens(tokenizer, text, { characters, tokens }) {
  return [...tokenize(tokenizer, cut(text, characters)).slice(0, tokens - 1), tokenizer.end];
}

/** A text up to the last whole word within `most` characters; a longer word is cut itself. */
function cut(text, most) {
  const letters = Array.from(text);
  if (letters.length <= most) return text;
  const kept = letters.slice(0, most + 1).join("");
  return kept.slice(0, Math.max(kept.lastIndexOf(" "), 0)) || letters.slice(0, most).join("");
}

/** Token ids of a text, without an end token. */
export function tokenize(tokenizer, text) {
  return cutWhole(tokenizer.whole, text).flatMap((part) =>
    typeof part === "number" ? [part] : words(part).flatMap((word) => merged(tokenizer, word)),
  );
}

/** A text as pieces and, in place of the words that are found whole, their ids. */
function cutWhole(whole, text) {
  const parts = [];
  let begin = 0; // of what no word has taken yet
  let at = 0;
  while (at < text.length) {
    const word = longest(whole.filter((one) => text.startsWith(one.text, at)));
    const [from, to] = word ? [at, at + word.text.length] : [at, at + 1];
    at = to;
    if (!word || (word.single_word && !standsAlone(text, from, to))) continue;
    const left = word.lstrip ? from - BLANK_END.exec(text.slice(0, from))[0].length : from;
    const right = word.rstrip ? to + BLANK.exec(text.slice(to))[0].length : to;
    parts.push(text.slice(begin, Math.max(left, begin)), word.id);
    begin = right;
  }
  parts.push(text.slice(begin));
  return parts.filter((part) => part !== "");
}

function longest(found) {
  return found.reduce((best, one) => (best && best.text.length >= one.text.length ? best : one), undefined);
}

function standsAlone(text, from, to) {
  const before = Array.from(text.slice(0, from)).at(-1) ?? " ";
  const [after = " "] = text.slice(to);
  return !LETTER.test(before) && !LETTER.test(after);
}

/** Words with their mark, punctuation apart, in lower case. */
function words(text) {
  // Letter by letter: a whole word's last sigma would become another letter than in the library.
  const lower = Array.from(text.normalize("NFKC"), (letter) => letter.toLowerCase()).join("");
  const marked = lower.replaceAll(" ", MARK);
  const whole = marked.startsWith(MARK) ? marked : MARK + marked;
  return whole.split(new RegExp(`(?=${MARK})`)).flatMap(punctuated);
}

function punctuated(word) {
  const pieces = [];
  let isOpen = false; // whether the last piece may grow
  for (const letter of word) {
    const isMark = PUNCTUATION.test(letter);
    if (isOpen && !isMark) pieces[pieces.length - 1] += letter;
    else pieces.push(letter);
    isOpen = !isMark;
  }
  return pieces;
}

/** Byte-pair encoding: the pair of the lowest rank is merged, the leftmost first, until none is left. */
function merged(tokenizer, word) {
  const ranks = ranksOf(tokenizer);
  const ids = Array.from(word, (letter) => tokenizer.characters[letter] ?? tokenizer.unknown);
  const rank = (at) => ranks.get(ids[at] * tokenizer.size + ids[at + 1]) ?? Infinity;
  const pairs = ids.slice(1).map((_, at) => rank(at));
  for (;;) {
    const at = lowest(pairs);
    if (at < 0) return ids;
    ids.splice(at, 2, tokenizer.merges[pairs[at]][2]);
    pairs.splice(at, 1);
    if (at > 0) pairs[at - 1] = rank(at - 1);
    if (at < pairs.length) pairs[at] = rank(at);
  }
}

function lowest(pairs) {
  let best = -1;
  for (let at = 0; at < pairs.length; at++) {
    if (pairs[at] < Infinity && (best < 0 || pairs[at] < pairs[best])) best = at;
  }
  return best;
}

const known = new WeakMap(); // the ranks of a tokenizer's pairs, made once

function ranksOf(tokenizer) {
  if (!known.has(tokenizer)) {
    const key = ([left, right]) => left * tokenizer.size + right;
    known.set(tokenizer, new Map(tokenizer.merges.map((pair, rank) => [key(pair), rank])));
  }
  return known.get(tokenizer);
}
