// Which charts there are, and their lines: metrics by epoch, of all runs; rates by time.

const COLORS = 8, WINDOW = 3;
const charts = new Map();
const hiddenRuns = new Set();

// Metrics come first, then the rate that they were trained with, then how quickly.
const byEpoch = { rank: 0, by: "epoch", whole: true, label: true, xText: (x) => String(x), when: (x) => `Epoch ${x}` };
const byTime = { rank: 2, by: "time", zero: true, xText: lasting, when: (x) => `After ${lasting(x)}`,
  xStep: (least) => [1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 21600, 43200]
    .find((step) => step >= least) || 86400 * Math.ceil(least / 86400) };

function chartOf(title, options) {
  if (!charts.has(title)) {
    const made = new Chart(title, options);
    const later = [...charts.values()].filter((one) => one.options.rank > options.rank);
    byId("charts").insertBefore(made.element, later.length ? later[0].element : null);
    const known = [...charts, [title, made]].sort((a, b) => a[1].options.rank - b[1].options.rank);
    charts.clear();
    known.forEach(([name, one]) => charts.set(name, one));
  }
  return charts.get(title);
}

function metricsOf(runs) {
  const found = new Set();
  for (const run of runs) {
    for (const row of run.epochs) {
      for (const name of Object.keys(row.logs || {})) found.add(name.replace(/^val_/, ""));
    }
  }
  found.delete("learning_rate");
  return [...found].sort((a, b) => (b === "loss") - (a === "loss") || a.localeCompare(b));
}

// The runs to draw, the oldest first; the present one last, in the first colour.
function runsOf(story) {
  const earlier = (story.about.earlier || []).map((run, n) => ({ ...run, old: true, color: 1 + n % (COLORS - 1) }));
  earlier.forEach((run, n) => { run.name = `run ${n + 1}`; });
  const present = { title: story.about.title, began: story.about.began, epochs: story.epochs, color: 0 };
  return [...earlier, { ...present, name: earlier.length ? `run ${earlier.length + 1}` : "this run" }];
}

function drawMetrics(story) {
  const runs = runsOf(story), visible = runs.filter((run) => !run.old || !hiddenRuns.has(run.name));
  for (const metric of metricsOf(visible)) {
    const lines = [];
    for (const run of visible) {
      for (const [name, dashed] of [[metric, false], [`val_${metric}`, true]]) {
        const points = run.epochs.filter((row) => isNumber((row.logs || {})[name]))
          .map((row) => [row.epoch + 1, row.logs[name]]);
        const words = dashed ? "validation" : "training";
        if (points.length) {
          lines.push({ name: words, short: dashed ? "val" : "train", run: run.name, color: run.color,
            dashed, old: run.old, points });
        }
      }
    }
    chartOf(metric, { ...byEpoch, log: /loss|error|mse|mae/.test(metric) }).update(lines);
  }
  const rates = [], form = ratesForm(runs);
  for (const run of visible) {
    const points = run.epochs.filter((row) => isNumber(row.rate)).map((row) => [row.epoch + 1, row.rate]);
    if (points.length) rates.push({ name: "learning rate", run: run.name, color: run.color, old: run.old, points });
  }
  if (rates.length) chartOf("learning rate", { ...byEpoch, rank: 1, label: false, log: true }).update(rates, form);
  drawRuns(runs);
}

function drawRuns(runs) {
  const box = byId("runs");
  box.hidden = runs.length < 2;
  if (box.hidden || box.childElementCount - 1 === runs.length) return;
  for (const run of [...runs].reverse()) {
    const words = `${run.name}${run.old ? "" : " (this one)"}, ${run.title || ""}, ${clock(run.began)}`;
    const tick = make("input", { type: "checkbox" });
    tick.checked = !hiddenRuns.has(run.name);
    tick.disabled = !run.old;
    tick.addEventListener("change", () => {
      hiddenRuns[tick.checked ? "delete" : "add"](run.name);
      drawMetrics(story);
    });
    box.append(make("label", {}, tick, sample(run.color, false), words));
  }
}

// How learning rates are written, wherever they are.
function ratesForm(runs) { return formOf(runs.flatMap((run) => run.epochs.map((row) => row.rate))); }

// Counters as rates, over a few seconds: workers tell now and then.
function ratesOf(moments, column) {
  if (moments.length < 2) return [];
  const began = moments[0][0], span = moments[moments.length - 1][0] - began;
  const window = Math.max(WINDOW, span / 40), found = [];
  let from = 0;
  moments.forEach((moment, n) => {
    while (from + 1 < n && moment[0] - moments[from + 1][0] >= window) from += 1;
    const seconds = moment[0] - moments[from][0];
    if (n && seconds > 0.5) found.push([moment[0] - began, (moment[column] - moments[from][column]) / seconds]);
  });
  return found;
}

function drawRates(story) {
  if (!story.moments) return;
  const rows = ratesOf(story.moments, 1), bytes = ratesOf(story.moments, 2);
  const versions = ratesOf(story.moments, 3);
  chartOf("rows/s", byTime).update([{ name: "rows/s", color: 0, points: rows }]);
  chartOf("MB/s", byTime).update([{ name: "MB/s", color: 0, points: bytes.map(([t, b]) => [t, b / 1e6]) }]);
  chartOf("updates/s", byTime).update([{ name: "updates/s", color: 0, points: versions }]);
}
