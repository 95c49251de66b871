// All that isn't a curve. Rows are changed in place, so that what somebody selects stays selected.

const STATES = { starting: "starting", running: "training", stopping: "stopping", finished: "finished",
  stopped: "stopped", failed: "failed", lost: "lost contact", full: "too many look on" };
const KINDS = { join: "joined", leave: "is done", expired: "was silent too long, left out",
  returned: "came back", failure: "failed", restarted: "The parameter server was started again",
  stopping: "Somebody asked on this page to stop" };
const TILE_METRICS = 4;

// Seconds to the end, at the pace of the epochs that are over; what came before the first doesn't count.
function leftOf(epochs, all, now) {
  const timed = epochs.filter((one) => isNumber(one.time)), a = timed[0], b = timed[timed.length - 1];
  if (!b || b.epoch === a.epoch) return null;
  const each = (b.time - a.time) / (b.epoch - a.epoch);
  return Math.max(each * (all - b.epoch - 1) - (now - b.time), 0);
}

function drawTiles(story, now) {
  const about = story.about, tiles = [], last = story.epochs[story.epochs.length - 1];
  const done = last ? last.epoch + 1 : about.first || 0, all = about.epochs;
  tiles.push(["Epochs done", String(done), all ? ` of ${all}` : ""]);
  for (const name of last ? metricsOf([{ epochs: [last] }]).slice(0, TILE_METRICS) : []) {
    const value = last.logs[`val_${name}`];
    tiles.push([name, shown(last.logs[name]), value === undefined ? "" : `val ${shown(value)}`, "under"]);
  }
  if (last && isNumber(last.rate)) tiles.push(["Learning rate", ratesForm(runsOf(story))(last.rate), ""]);
  if (story.workers) {
    const active = story.workers.filter((one) => one.state === "active");
    tiles.push(["Workers", String(isOver(story) ? story.joined : active.length), ` of ${story.expected}`]);
    if (!isOver(story)) tiles.push(["Rows/s", shown(Math.round(sum(active.map((one) => one.rate)))), ""]);
    if (isOver(story)) tiles.push(["Updates", shown(story.version), ""]);
  }
  const until = isOver(story) ? story.ended || (last && last.time) || now : now;
  if (about.began) tiles.push(["Time", lasting(until - about.began), ""]);
  const first = about.first || 0, share = progressOf(story);
  const left = all ? leftOf(story.epochs, all, now) : null;
  if (!isOver(story) && story.state !== "stopping" && left !== null) tiles.push(["Left, about", lasting(left), ""]);
  const box = byId("tiles");
  while (box.childElementCount > tiles.length) box.lastElementChild.remove();
  tiles.forEach(([name, value, more, place = ""], n) => {
    if (!box.children[n]) {
      box.append(make("div", {}, make("dt"), make("dd", {}, make("span"), make("small"))));
    }
    const [dt, dd] = box.children[n].children;
    put(dt, name);
    put(dd.children[0], value);
    put(dd.children[1], more);
    dd.children[1].className = place;
  });
  byId("progress").value = isOver(story) && story.state === "finished" ? 1 : Math.min(share, 1);
  byId("progress").setAttribute("aria-valuetext", `${done} of ${all || "?"} epochs done`);
  return first;
}

function sum(values) { return values.reduce((all, one) => all + (one || 0), 0); }

// The share of all epochs that is done, with what workers have of the present one.
function progressOf(story) {
  const { first = 0, epochs: all = 0, batch_size: size = 0 } = story.about;
  const last = story.epochs[story.epochs.length - 1], done = last ? last.epoch + 1 : first;
  if (all <= first) return 0;
  const active = (story.workers || []).filter((one) => one.state === "active" && one.samples);
  const parts = active.map((one) => one.epoch > done ? 1 : one.epoch < done ? 0
    : Math.min(one.batch * size / one.samples, 1));
  return (done - first + (parts.length ? sum(parts) / parts.length : 0)) / (all - first);
}

function drawWorkers(story) {
  byId("staff").hidden = !story.workers;
  if (!story.workers) return;
  const rows = story.workers.map((one) => [
    one.worker, one.host || "–", one.device || "–",
    one.phase && one.state === "active" ? one.phase : one.state === "left" ? "done" : one.state,
    one.epoch + (one.state === "active" ? 1 : 0), one.batch, one.samples, Math.round(one.rate),
    isNumber((one.logs || {}).loss) ? one.logs.loss : null, one.stale, lasting(one.last_seen), one.tries,
  ]);
  const body = byId("workers").tBodies[0];
  fit(body, rows.length, () => make("tr", {}, make("th", { scope: "row" }),
    ...Array.from({ length: 11 }, (_, n) => make("td", { class: n >= 3 ? "n" : "" }))));
  rows.forEach((row, n) => {
    const cells = body.rows[n].cells;
    row.forEach((value, m) => put(cells[m], shown(value)));
    cells[3].dataset.state = story.workers[n].state;
  });
  const more = story.joined - rows.length;
  byId("more-workers").hidden = more <= 0;
  put(byId("more-workers"), `and ${more} more`);
}

function fit(box, number, build) {
  while (box.childElementCount > number) box.lastElementChild.remove();
  while (box.childElementCount < number) box.append(build());
}

function drawStaleness(story) {
  const bins = binned(story.staleness || {});
  byId("lag").hidden = !bins.length;
  const most = Math.max(...bins.map((bin) => bin[1]), 1);
  const body = byId("staleness").tBodies[0];
  fit(body, bins.length, () => make("tr", {}, make("th", { scope: "row", class: "n" }),
    make("td", { class: "bar" }, make("i")), make("td", { class: "n" })));
  bins.forEach(([name, count], n) => {
    const [head, bar, number] = body.rows[n].cells;
    put(head, name);
    bar.firstChild.style.width = `${100 * count / most}%`;
    put(number, shown(count));
  });
}

function binned(staleness) {
  const known = Object.entries(staleness).map(([key, count]) => [Number(key), count]).sort((a, b) => a[0] - b[0]);
  const most = known.length ? known[known.length - 1][0] : 0, found = new Map();
  for (const [key, count] of known) {
    // Where they go far: 0, 1, 2, 3–4, 5–8, 9–16, …
    const high = most < 12 || key < 3 ? key : 2 ** Math.ceil(Math.log2(key));
    found.set(high, (found.get(high) || 0) + count);
  }
  return [...found].map(([high, count]) => [most < 12 || high < 3 ? String(high) : `${high / 2 + 1}–${high}`, count]);
}

function drawLog(story) {
  const box = byId("log"), lines = [...(story.log || [])].reverse();
  byId("events").hidden = !lines.length;
  box.replaceChildren(...lines.map((line) => {
    const who = line.worker === null || line.worker === undefined ? "" : `Worker ${line.worker} `;
    const what = KINDS[line.kind] || line.kind;
    const text = line.text ? (line.kind === "join" ? `, on ${line.text}` : `: ${line.text}`) : "";
    return make("li", { "data-kind": line.kind }, make("time", {}, clock(line.time)),
      make("span", {}, who + what + text));
  }));
}

function drawAbout(story) {
  const about = story.about, title = about.title || "A fit";
  put(byId("title"), title);
  const config = Object.entries(about.config || {});
  byId("setup").hidden = !config.length;
  byId("config").replaceChildren(...config.flatMap(([name, value]) => [make("dt", {}, name),
    make("dd", {}, value !== null && typeof value === "object" ? JSON.stringify(value) : String(value ?? "–"))]));
  byId("model").hidden = !about.summary;
  put(byId("summary"), about.summary || "");
}

function isOver(story) { return ["finished", "stopped", "failed"].includes(story.state); }

function drawState(story, absent) {
  const state = absent && !isOver(story) ? absent : story.state, share = Math.round(100 * progressOf(story));
  put(byId("state"), STATES[state] || state);
  byId("state").dataset.state = state;
  const busy = !isOver(story) && state !== "starting";
  document.title = `${busy ? `${share} % ` : ""}${story.about.title || "elephas_torch"}: ${STATES[state] || state}`;
}
