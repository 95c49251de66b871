// One chart: lines, a cursor for mouse and keyboard, and the same as a table.
//
// lines: [{name, run, color, dashed, old, points: [[x, y], …]}], those of older runs first.

const HEIGHT = 210, LEFT = 46, TOP = 10, BOTTOM = 26;

class Chart {
  constructor(title, options) {
    this.options = options;
    this.lines = [];
    this.at = null;
    this.log = false;
    this.form = shown;
    this.key = make("span", { class: "key" });
    this.heading = make("h3", {}, title);
    const top = make("div", { class: "top" }, this.heading);
    if (options.log) top.append(this.toggle = this.button());
    top.append(this.key);
    this.svg = make("svg", { "aria-hidden": "true" });
    this.tip = make("div", { class: "tip", hidden: "" });
    this.plot = make("div", { class: "plot", tabindex: "0", role: "slider",
      "aria-label": `${title}: values by ${options.by}`, "aria-orientation": "horizontal" },
      this.svg, this.tip);
    this.body = make("tbody");
    this.headers = make("tr");
    const scroll = make("div", { class: "scroll", tabindex: "0", role: "group",
      "aria-label": `${title}: table` }, make("table", {}, make("thead", {}, this.headers), this.body));
    this.table = make("details", {}, make("summary", {}, "Values as a table"), scroll);
    this.element = make("article", { class: "card chart" }, top, this.plot, this.table);
    this.table.addEventListener("toggle", () => this.fill());
    this.plot.addEventListener("pointermove", (event) => this.point(event));
    this.plot.addEventListener("pointerleave", () => this.move(null));
    this.plot.addEventListener("blur", () => this.move(null));
    this.plot.addEventListener("focus", () => { if (this.plot.matches(":focus-visible")) this.step(0); });
    this.plot.addEventListener("keydown", (event) => this.press(event));
    if (window.ResizeObserver) new ResizeObserver(() => this.draw()).observe(this.plot);
  }

  button() {
    const made = make("button", { type: "button", class: "small", "aria-pressed": "false" }, "log scale");
    made.addEventListener("click", () => {
      this.log = !this.log;
      made.setAttribute("aria-pressed", String(this.log));
      this.draw();
    });
    return made;
  }

  update(lines, form = shown) {
    this.form = form;
    this.lines = lines.map((line) => ({ ...line, points: line.points.filter((p) => isNumber(p[1])) }));
    const own = this.lines.filter((line) => !line.old);
    this.xs = [...new Set(own.flatMap((line) => line.points.map((p) => p[0])))].sort((a, b) => a - b);
    const keys = own.length > 1 ? own.map((l) => make("span", {}, sample(l.color, l.dashed), l.name)) : [];
    if (this.key.childElementCount !== keys.length) this.key.replaceChildren(...keys);
    this.draw();
    this.fill();
  }

  // Scales.

  bounds() {
    const points = this.lines.flatMap((line) => line.points);
    let [x0, x1, y0, y1] = [Infinity, -Infinity, Infinity, -Infinity];
    for (const [x, y] of points) {
      if (x < x0) x0 = x;
      if (x > x1) x1 = x;
      if (this.log && y <= 0) continue;
      if (y < y0) y0 = y;
      if (y > y1) y1 = y;
    }
    if (y0 > y1) [y0, y1] = [this.log ? 0.1 : 0, 1];
    if (this.options.zero && !this.log) y0 = Math.min(0, y0);
    if (y0 === y1) [y0, y1] = this.log ? [y0 / 2, y1 * 2] : [y0 - Math.abs(y0) / 10 - 1e-12, y1 + Math.abs(y1) / 10 + 1e-12];
    if (!this.log) {
      const step = nice((y1 - y0) / 4);
      [y0, y1] = [Math.floor(y0 / step + 1e-9) * step, Math.ceil(y1 / step - 1e-9) * step];
    }
    return { x0, x1: x1 > x0 ? x1 : x0 + 1, y0, y1 };
  }

  ticks(y0, y1) {
    if (this.log) {
      const found = [];
      for (let power = Math.floor(Math.log10(y0)); power <= Math.ceil(Math.log10(y1)); power++) {
        for (const times of [1, 2, 5]) found.push(times * 10 ** power);
      }
      const inside = found.filter((y) => y >= y0 * 0.999 && y <= y1 * 1.001);
      if (inside.length < 2) return [y0, y1];
      const every = Math.ceil(inside.length / 6);
      return inside.filter((_, number) => number % every === 0);
    }
    const step = nice((y1 - y0) / 4), found = [];
    for (let y = Math.ceil(y0 / step - 1e-9) * step; y <= y1 + step * 1e-9; y += step) {
      found.push(Math.abs(y) < step * 1e-9 ? 0 : Number(y.toPrecision(12)));
    }
    return found;
  }

  draw() {
    const width = this.plot.clientWidth;
    if (!width) return;
    const svg = this.svg, parts = [], labels = this.labels();
    const right = labels.length ? Math.min(10 + 6.6 * Math.max(...labels.map((l) => l.text.length)), width / 3) : 12;
    svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    const inner = width - LEFT - right, bottom = HEIGHT - BOTTOM;
    if (!this.lines.some((line) => line.points.length)) {
      const x = LEFT + inner / 2, words = make("text", { x, y: HEIGHT / 2, "text-anchor": "middle" }, "nothing yet");
      svg.replaceChildren(make("line", { x1: LEFT, x2: width - right, y1: bottom, y2: bottom, class: "axis" }), words);
      this.describe();
      return;
    }
    const box = this.bounds(), flat = this.log ? Math.log : (y) => y;
    this.x = (x) => LEFT + inner * (x - box.x0) / (box.x1 - box.x0);
    this.y = (y) => bottom - (bottom - TOP) * (flat(y) - flat(box.y0)) / (flat(box.y1) - flat(box.y0));
    for (const tick of this.ticks(box.y0, box.y1)) {
      const y = this.y(tick);
      parts.push(make("line", { x1: LEFT, x2: width - right, y1: y, y2: y, class: "grid" }));
      parts.push(make("text", { x: LEFT - 7, y: y + 4, "text-anchor": "end" }, this.form(tick)));
    }
    parts.push(make("line", { x1: LEFT, x2: width - right, y1: bottom, y2: bottom, class: "axis" }));
    for (const tick of this.places(box, inner)) {
      const anchor = tick === box.x0 ? "start" : "middle";
      const at = { x: this.x(tick), y: bottom + 17, "text-anchor": anchor };
      parts.push(make("text", at, this.options.xText(tick)));
    }
    for (const line of this.lines) parts.push(...this.stroke(line));
    for (const label of this.placed(labels, bottom)) {
      const at = { x: width - right + 7, y: label.y + 4, class: `label f${label.color}` };
      parts.push(make("text", at, label.text));
    }
    parts.push(this.cursor = make("g"));
    svg.replaceChildren(...parts);
    this.move(this.at);
  }

  places(box, inner) {
    const most = Math.max(2, Math.floor(inner / 70)), whole = this.options.whole;
    const step = whole ? Math.max(1, Math.ceil(nice((box.x1 - box.x0) / most))) : this.options.xStep((box.x1 - box.x0) / most);
    const found = [];
    for (let x = Math.ceil(box.x0 / step - 1e-9) * step; x <= box.x1 + step * 1e-6; x += step) found.push(x);
    if (found[0] - box.x0 > 0.6 * step) found.unshift(box.x0);
    return found;
  }

  stroke(line) {
    const usable = line.points.filter((p) => !this.log || p[1] > 0);
    if (!usable.length) return [];
    const kind = `line c${line.color}${line.dashed ? " dash" : ""}${line.old ? " old" : ""}`;
    const [x, y] = usable[usable.length - 1];
    const dot = make("circle", { cx: this.x(x), cy: this.y(y), r: line.old ? 1.5 : 3, class: `dot c${line.color}` });
    if (usable.length === 1) return [dot];
    const path = usable.map((p, n) => `${n ? "L" : "M"}${this.x(p[0]).toFixed(1)} ${this.y(p[1]).toFixed(1)}`);
    return [make("path", { d: path.join(""), class: kind }), dot];
  }

  // At the ends of the lines: who they are, or where they have come to.

  labels() {
    return this.lines.filter((line) => line.points.length && !line.old).map((line) => {
      const value = line.points[line.points.length - 1][1];
      return { text: this.options.label ? `${line.short || line.name} ${this.form(value)}` : this.form(value), color: line.color, value };
    });
  }

  placed(labels, bottom) {
    const known = labels.filter((label) => !this.log || label.value > 0);
    const found = known.map((label) => ({ ...label, y: this.y(label.value) })).sort((a, b) => a.y - b.y);
    for (let n = 1; n < found.length; n++) found[n].y = Math.max(found[n].y, found[n - 1].y + 13);
    const over = found.length ? Math.max(0, found[found.length - 1].y - bottom) : 0;
    for (const label of found) label.y -= over;
    return found;
  }

  // The cursor.

  point(event) {
    if (!this.x || !this.xs.length) return;
    const left = event.clientX - this.plot.getBoundingClientRect().left;
    let nearest = 0;
    this.xs.forEach((x, n) => {
      if (Math.abs(this.x(x) - left) < Math.abs(this.x(this.xs[nearest]) - left)) nearest = n;
    });
    this.move(this.xs[nearest]);
  }

  press(event) {
    const page = Math.max(1, Math.round(this.xs.length / 10));
    const steps = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageUp: page, PageDown: -page,
      Home: -Infinity, End: Infinity };
    if (event.key === "Escape") this.move(null);
    if (!(event.key in steps)) return;
    event.preventDefault();
    this.step(steps[event.key]);
  }

  step(by) {
    if (!this.xs.length) return;
    const now = this.at === null ? this.xs.length - 1 : this.xs.indexOf(this.at);
    this.move(this.xs[Math.min(Math.max(now + by, 0), this.xs.length - 1)]);
  }

  move(x) {
    this.at = x !== null && this.xs && this.xs.includes(x) ? x : null;
    if (this.cursor) this.cursor.replaceChildren();
    this.tip.hidden = this.at === null;
    this.describe();
    if (this.at === null || !this.cursor) return;
    const at = this.x(this.at);
    const rows = [make("p", { class: "when" }, this.options.when(this.at))];
    this.cursor.append(make("line", { x1: at, x2: at, y1: TOP, y2: HEIGHT - BOTTOM, class: "cursor" }));
    for (const line of [...this.lines].reverse()) {
      const found = line.points.find((p) => p[0] === this.at);
      if (!found) continue;
      const name = line.old ? `${line.run}${line.dashed ? ", validation" : ""}` : line.name;
      rows.push(make("p", {}, sample(line.color, line.dashed), name, make("b", {}, this.form(found[1]))));
      if (!this.log || found[1] > 0) {
        this.cursor.append(make("circle", { cx: at, cy: this.y(found[1]), r: 3.5, class: `dot c${line.color}` }));
      }
    }
    this.tip.replaceChildren(...rows);
    const room = this.plot.clientWidth, wide = this.tip.offsetWidth;
    this.tip.style.left = `${at + 14 + wide < room ? at + 14 : Math.max(0, at - 14 - wide)}px`;
  }

  describe() {
    const xs = this.xs && this.xs.length ? this.xs : [0];
    const x = this.at === null ? xs[xs.length - 1] : this.at;
    const own = this.lines.filter((line) => !line.old);
    const values = own.map((line) => [line.name, line.points.find((p) => p[0] === x)]).filter((one) => one[1]);
    const text = values.map(([name, found]) => `${name} ${this.form(found[1])}`).join(", ");
    const told = { "aria-valuemin": xs[0], "aria-valuemax": xs[xs.length - 1], "aria-valuenow": x,
      "aria-valuetext": text ? `${this.options.when(x)}: ${text}` : "nothing yet" };
    for (const [name, value] of Object.entries(told)) this.plot.setAttribute(name, value);
  }

  fill() {
    if (!this.table.open) return;
    const own = this.lines.filter((line) => !line.old);
    const heads = [this.options.by, ...own.map((line) => line.name)];
    this.headers.replaceChildren(...heads.map((one, n) => make("th", { scope: "col", class: n ? "n" : "" }, one)));
    const values = own.map((line) => new Map(line.points));
    this.body.replaceChildren(...[...this.xs].reverse().map((x) => make("tr", {},
      make("th", { scope: "row" }, this.options.xText(x)),
      ...values.map((one) => make("td", { class: "n" }, this.form(one.has(x) ? one.get(x) : null))))));
  }
}

function nice(step) {
  const power = 10 ** Math.floor(Math.log10(step || 1));
  return power * [1, 2, 5, 10].find((times) => times * power >= step * 0.999);
}
