// Ask GenSR in the page: an anywidget. It loads model.json and weights.bin when it comes into view,
// through the page's own links to them: MyST gives linked files their names and base URL, checks that
// they are there, and a reader can download what the panel computes with.
//
// Answers are computed on the page's own thread, some milliseconds at a time (`unhurried`), so that
// nothing freezes and no address of a worker has to be known. Only this module touches a document.
import { explain, load, question, ranked, readEvents, scoring } from "./engine.mjs";
import { STYLE, detail, escaped, frame, list, offers, past, titled } from "./panels.mjs";

const BUDGET = 12; // ms of computing before the page may draw
const SHOWN = 10; // items of a list at first, and half of them on a phone
const WAIT = 250; // ms after the last letter of a query
const KEPT = "ask-gensr"; // in the session's storage: what was asked, for who comes back to the page

/** The address of a file among some links: those that MyST copies have a hash in their names. */
export function addressOf(name, links) {
  const [stem, ending] = name.split(".");
  const file = new RegExp(`/${stem}(-[0-9a-f]{32})?\\.${ending}$`);
  return links.find((link) => file.test(link.split(/[?#]/)[0]));
}

async function fetched(name, links) {
  const address = addressOf(name, links);
  if (!address) throw new Error(`this page has no link to ${name}`);
  const answer = await fetch(address).catch(() => undefined);
  if (!answer) throw new Error(`${name} did not arrive (is there a network?)`);
  if (!answer.ok) throw new Error(`${name} cannot be loaded (the server says ${answer.status})`);
  return answer.arrayBuffer();
}

/** The model of both files, or an error that says in a sentence what is wrong. */
export async function loadFrom(links) {
  const [text, weights] = await Promise.all(["model.json", "weights.bin"].map((name) => fetched(name, links)));
  let model;
  try {
    model = JSON.parse(new TextDecoder().decode(text));
  } catch {
    throw new Error("model.json is not whole");
  }
  return load(model, weights);
}

/** Run a generator to its end, letting the page draw in between; undefined if `isStale` says so. */
async function unhurried(steps, isStale, say) {
  for (;;) {
    const until = performance.now() + BUDGET;
    while (performance.now() < until) {
      const { done, value } = steps.next();
      if (done) return value;
      say(value);
    }
    await new Promise((go) => setTimeout(go));
    if (isStale()) return undefined;
  }
}

export default { render };

function render({ model, el }) {
  el.innerHTML = `<style>${STYLE}</style>
    <div class="ask"><div><p>The model is loaded when you come here.</p></div></div>`;
  const place = el.querySelector(".ask");
  const start = () => begin(place, (name) => model.get(name));
  const observer = new IntersectionObserver((seen) => {
    if (!seen.some(({ isIntersecting }) => isIntersecting)) return;
    observer.disconnect();
    start();
  });
  observer.observe(place);
  return () => observer.disconnect();
}

/** Load, then show; what goes wrong is said in the panel's place, with a button to try again. */
async function begin(place, get) {
  place.innerHTML = `<div><p role="status">The model is being loaded …</p></div>`;
  try {
    const links = Array.from(place.ownerDocument.querySelectorAll("a[href]"), (link) => link.href);
    panel(place, await loadFrom(links), get);
  } catch (error) {
    place.innerHTML = `<div><p role="alert">GenSR cannot be asked here: ${escaped(error.message)}.</p>
      <button type="button" class="plain">Try again</button></div>`;
    place.querySelector("button").addEventListener("click", () => begin(place, get));
  }
}

/** What was asked before in this tab, of the same data and from the same start; undefined if nothing. */
function recalled(origin) {
  try {
    const { asked, ...found } = JSON.parse(sessionStorage.getItem(KEPT));
    return asked === origin ? found : undefined;
  } catch {
    return undefined; // nothing is kept, or the browser keeps nothing
  }
}

function keep(origin, { user, events, query }) {
  try {
    sessionStorage.setItem(KEPT, JSON.stringify({ asked: origin, user, events, query }));
  } catch {
    // a browser that keeps nothing begins anew each time
  }
}

/** The panel: what a reader asks is `state`; every change of it goes through `ask`. */
function panel(place, page, get) {
  place.innerHTML = frame(page);
  const find = (what) => place.querySelector(what);
  const form = find("form");
  const origin = JSON.stringify([page.provenance.dataset_hash, get("user"), get("query")]);
  const state = { ...(recalled(origin) ?? begins()), answers: {}, shown: {}, picked: null, turn: 0 };
  let timer;

  function begins() {
    const user = page.users.find(({ id }) => id === get("user")) ?? page.users[0];
    return { user: user?.id, events: [...(user?.events ?? [])], query: get("query") ?? user?.query ?? "" };
  }

  function ownHistory(id) {
    return [...(page.users.find((one) => one.id === id)?.events ?? [])];
  }

  function begun(id) {
    state.user = id;
    state.events = ownHistory(id);
    state.picked = null;
    hint();
    ask();
  }

  /** Offer the query that the user whose history it was had searched for next. */
  function hint() {
    const button = find(".searched");
    button.value = page.users.find(({ id }) => id === state.user)?.query ?? "";
    button.textContent = `take the user's held-out search, “${button.value}”`;
  }

  async function ask() {
    const turn = ++state.turn;
    const isStale = () => turn !== state.turn || !place.isConnected;
    const shown = place.clientWidth < 560 ? SHOWN / 2 : SHOWN;
    state.shown = { rec: shown, src: shown };
    find(".searched").hidden = [state.query.trim(), ""].includes(find(".searched").value);
    find(".anew").textContent = state.user ? "take the user's own history again" : "empty the history";
    find(".anew").hidden = JSON.stringify(state.events) === JSON.stringify(ownHistory(state.user));
    drawPast();
    fade();
    keep(origin, state);
    for (const task of Object.keys(page.prompts)) {
      if (!wanted(task)) state.answers[task] = undefined;
      else if (state.answers[task]?.key !== wanted(task) && !(await workOut(task, isStale))) return;
      drawList(task);
    }
    pick(...picked());
  }

  /** What a task's list is to be of, as text; undefined where nothing is asked. */
  function wanted(task, query = state.query) {
    const own = task === "src" ? query.trim() : "";
    return task === "src" && !own ? undefined : JSON.stringify([state.events, own]);
  }

  /** Lists and the look into an item that are of another history or query than what is asked now
   * are pale until their own come. */
  function fade(query = state.query) {
    const isOld = (task) => state.answers[task]?.key !== wanted(task, query);
    const tasks = Object.keys(page.prompts);
    for (const task of tasks) find(`[data-task=${task}]`).setAttribute("aria-busy", isOld(task));
    find(".detail").setAttribute("aria-busy", tasks.some(isOld));
  }

  /** Only what is over is told to those who listen to the page. */
  function say(task, progress, result) {
    const heading = find(`[data-task=${task}] .progress`);
    if (heading) heading.textContent = progress;
    find("[role=status]").textContent = result;
  }

  /** Work out a task's list; false if meanwhile another one is wanted. */
  async function workOut(task, isStale) {
    const key = wanted(task);
    const query = task === "src" ? state.query.trim() : "";
    if (!state.answers[task]) drawList(task);
    find(`[data-task=${task}] .name`).textContent = titled(task, query);
    say(task, "reading …", "");
    await new Promise((go) => setTimeout(go));
    const started = performance.now();
    let asked;
    try {
      asked = question(page, state.events, query);
    } catch (error) {
      state.answers[task] = { key, query, items: [], error: `${error.message}.` };
      return true;
    }
    const all = page.items.ids.map((_, i) => i + 1);
    const steps = scoring(page, asked, all);
    const scores = await unhurried(steps, isStale, (done) => say(task, `${done} of ${all.length.toLocaleString("en")} items`, ""));
    if (!scores) return false;
    const seen = new Set(state.events.map(([item]) => item));
    const items = ranked(scores, seen);
    state.answers[task] = { key, asked, events: state.events, query, scores, items };
    say(task, "", `${all.length.toLocaleString("en")} prompts read in ${Math.round(performance.now() - started)} ms.`);
    return true;
  }

  /** The item that was looked into, if a reader still sees it in its list; else the first of a list. */
  function picked() {
    const { task, item } = state.picked ?? {};
    if (state.answers[task]?.items.slice(0, state.shown[task]).includes(item)) return [task, item];
    const first = state.answers.src ? "src" : "rec";
    return [first, state.answers[first]?.items[0]];
  }

  function pick(task, item) {
    const answer = state.answers[task];
    if (!answer || item === undefined) {
      find(".detail").innerHTML = "";
      return;
    }
    const found = explain(page, answer.asked, item);
    state.picked = { task, item };
    drawPast(answer.key === wanted(task) ? found.weights : {}); // else of a history that was changed since
    for (const button of place.querySelectorAll("[data-item]")) {
      const isIt = button.closest("[data-task]").dataset.task === task && Number(button.dataset.item) === item;
      button.setAttribute("aria-pressed", isIt);
    }
    find(".detail").innerHTML = detail(page, answer, item, found);
    fade();
  }

  function drawPast(weights = {}) {
    const scrolled = find(".events")?.scrollTop ?? 0;
    const typing = find("[name=add]")?.value ?? "";
    const focused = focusedIn(place.getRootNode().activeElement); // is drawn anew, too
    find(".past").innerHTML = past(page, state.events, readEvents(page.history, state.events), weights);
    if (find(".events")) find(".events").scrollTop = scrolled;
    find("[name=add]").value = typing;
    find(".offers").innerHTML = offers(page, typing, state.events);
    if (focused) find(focused)?.focus({ preventScroll: true });
  }

  function drawList(task) {
    const isPicked = state.picked?.task === task ? state.picked.item : null;
    find(`[data-task=${task}]`).innerHTML = list(page, task, state.answers[task], state.shown[task], isPicked);
    fade();
  }

  /** How to find an element of the history that has the focus; undefined for others. */
  function focusedIn(active) {
    const { drop, add } = active?.dataset ?? {};
    if (active?.name === "add") return "[name=add]";
    return (drop && `[data-drop="${drop}"]`) || (add && `[data-add="${add}"]`);
  }

  /** The button of the click that stands in a removed one's place, or of the last one. */
  function focusOn(dropped) {
    const next = Math.min(dropped, state.events.length) - 1; // the list is newest first
    const button = find(`[data-drop="${Math.max(next, 0)}"]`) ?? find("[name=add]");
    button.focus({ preventScroll: true });
  }

  function stopAdding() {
    find("[name=add]").value = "";
    find(".offers").innerHTML = "";
  }

  function change(events) {
    state.events = events;
    ask();
  }

  form.addEventListener("submit", (event) => event.preventDefault());
  form.elements.user.addEventListener("change", ({ target }) => begun(target.value));
  form.elements.query.addEventListener("input", ({ target }) => {
    clearTimeout(timer);
    fade(target.value);
    timer = setTimeout(() => {
      state.query = target.value;
      ask();
    }, WAIT);
  });
  place.addEventListener("input", ({ target }) => {
    if (target.name === "add") find(".offers").innerHTML = offers(page, target.value, state.events);
  });
  place.addEventListener("keydown", (event) => {
    if (!event.target.closest(".adder") || event.isComposing) return;
    const stops = [find("[name=add]"), ...place.querySelectorAll("[data-add]")];
    const at = stops.indexOf(event.target);
    const to = { ArrowDown: stops[at + 1], ArrowUp: stops[at - 1] }[event.key];
    if (to) to.focus();
    else if (event.key === "Enter" && at === 0) stops[1]?.click();
    else if (event.key === "Escape") {
      stopAdding();
      stops[0].focus();
    }
    else return;
    event.preventDefault();
  });
  place.addEventListener("click", ({ target, detail: pointed }) => {
    const { drop, add, more, item } = target.closest("button")?.dataset ?? {};
    if (drop) change(state.events.filter((_, at) => at !== Number(drop)));
    if (add) {
      stopAdding();
      if (!pointed) find("[name=add]").focus(); // not on a phone, whose keyboard would hide the answer
      change([...state.events, [Number(add), -1]]);
    }
    if (drop) focusOn(Number(drop)); // the button is gone
    if (more) {
      const before = state.shown[more];
      state.shown[more] = before < 50 ? 50 : Infinity;
      drawList(more);
      if (!pointed) place.querySelectorAll(`[data-task=${more}] [data-item]`)[before]?.focus();
    }
    if (target.closest(".anew")) {
      begun(state.user);
      if (!pointed) form.elements.user.focus();
    }
    if (target.closest(".searched")) {
      form.elements.query.value = state.query = find(".searched").value;
      if (!pointed) form.elements.query.focus();
      ask();
    }
    if (item) pick(target.closest("[data-task]").dataset.task, Number(item));
  });
  for (const kind of ["pointerover", "focusin"]) {
    place.addEventListener(kind, ({ target, pointerType }) => {
      const button = target.closest?.("[data-item]");
      if (!button || pointerType === "touch" || button.getAttribute("aria-pressed") === "true") return;
      pick(button.closest("[data-task]").dataset.task, Number(button.dataset.item));
    });
  }

  form.elements.user.value = state.user ?? "";
  form.elements.query.value = state.query;
  hint();
  ask();
}
