// Numbers and times as people read them; elements made of data, which is never markup.

function make(name, attributes, ...content) {
  const svg = ["svg", "path", "line", "text", "circle", "title", "g"].includes(name);
  const made = svg ? document.createElementNS("http://www.w3.org/2000/svg", name)
    : document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) made.setAttribute(key, value);
  made.append(...content);
  return made;
}

function byId(id) { return document.getElementById(id); }

function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function isNumber(value) { return typeof value === "number" && Number.isFinite(value); }

function shown(value) {
  if (!isNumber(value)) return value === null || value === undefined ? "–" : String(value);
  const size = Math.abs(value);
  if (value === 0) return "0";
  if (Number.isInteger(value) && size < 1e6) return value.toLocaleString("en");
  if (size >= 1e9) return trimmed(value / 1e9, 4) + " G";
  if (size >= 1e6) return trimmed(value / 1e6, 4) + " M";
  if (size >= 1e3) return Math.round(value).toLocaleString("en");
  if (size < 1e-3) return value.toExponential(2).replace("e-0", "e-");
  return trimmed(value, 4);
}

// One form for all values of a kind: as powers of ten where one of them is small.
function formOf(values) {
  const small = values.some((value) => isNumber(value) && value !== 0 && Math.abs(value) < 1e-3);
  return (value) => {
    if (!isNumber(value) || value === 0) return shown(value);
    if (!small) return trimmed(value, 4);
    return Number(value.toPrecision(3)).toExponential().replace("e+0", "");
  };
}

function trimmed(value, digits) { return String(Number(value.toPrecision(digits))); }

function lasting(seconds) {
  if (!isNumber(seconds) || seconds < 0) return "–";
  if (seconds < 10) return trimmed(seconds, 2) + " s";
  if (seconds < 60) return Math.round(seconds) + " s";
  const minutes = Math.floor(seconds / 60), pad = (n) => String(Math.floor(n)).padStart(2, "0");
  if (minutes < 60) return `${minutes}:${pad(seconds % 60)} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours}:${pad(minutes % 60)} h`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

function clock(seconds) {
  return isNumber(seconds) ? new Date(seconds * 1000).toLocaleTimeString("en-GB") : "–";
}

// A line as keys and tooltips have it.
function sample(color, dashed) {
  const line = make("line", { x1: 0, y1: 4, x2: 24, y2: 4, class: `line c${color}${dashed ? " dash" : ""}` });
  return make("svg", { viewBox: "0 0 24 8", "aria-hidden": "true" }, line);
}
