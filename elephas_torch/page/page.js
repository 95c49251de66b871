// Puts it together: a story from the file, or from the server; drawn at most once a frame.

let story = { about: {}, state: "starting", epochs: [], log: [], time: 0 };
// Why the server tells nothing: "", "lost" or "full".
let token = "", absent = "", due = new Set(), said = 0, lag = 0;

function draw() {
  const now = isOver(story) ? story.time : Date.now() / 1000 + lag;
  if (due.has("about")) drawAbout(story);
  if (due.has("epochs") || due.has("about")) drawMetrics(story);
  if (due.has("moments")) drawRates(story);
  if (due.has("workers")) drawWorkers(story);
  if (due.has("staleness")) drawStaleness(story);
  if (due.has("log")) drawLog(story);
  drawState(story, absent);
  drawTiles(story, now);
  drawButtons();
  due = new Set();
}

function soon(...names) {
  if (!due.size) requestAnimationFrame(draw);
  names.forEach((name) => due.add(name));
}

function take(news) {
  for (const name of ["epochs", "moments"]) {
    if (!news[name]) continue;
    const kept = (story[name] || []).slice(0, news[name].from);
    news[name] = [...kept, ...news[name].rows];
  }
  if (news.log) news.log = [...story.log, ...news.log].slice(-200);
  story = { ...story, ...news };
  lag = story.time - Date.now() / 1000;
  if (news.epochs) announce();
  soon("state", ...Object.keys(news));
}

// For who doesn't see the curves move; not too often.
function announce() {
  const last = story.epochs[story.epochs.length - 1];
  if (!last || Date.now() - said < 5000) return;
  said = Date.now();
  const values = Object.entries(last.logs).map(([name, value]) => `${name} ${shown(value)}`);
  put(byId("say"), `Epoch ${last.epoch + 1} of ${story.about.epochs}: ${values.join(", ")}`);
}

function note(text) {
  byId("note").hidden = !text;
  put(byId("note"), text);
}

function drawButtons() {
  const stops = story.about.stops || "none", over = isOver(story);
  byId("buttons").hidden = !token || over || stops === "none" || story.state === "starting";
  byId("stop-later").disabled = absent !== "" || story.state === "stopping";
  byId("stop-now").disabled = absent !== "";
  byId("stop-now").hidden = stops !== "both";
}

async function ask(now) {
  const why = await stop(token, now).catch(() => "The server can't be reached.");
  note(why || (now ? "The server was asked to stop at once." : "The fit is going to end with this epoch."));
}

// Until a token has worked there is nothing to show but where to give it.
function letIn() { document.body.classList.remove("out"); }

function begin() {
  byId("ask").hidden = Boolean(token);
  if (!token) return;
  let lost = 0;
  watch(token, {
    refused() {
      token = "";
      byId("ask").hidden = false;
      put(byId("state"), "not let in");
      drawButtons();
      note("The token is wrong, or of another run: each run has a link of its own.");
    },
    began() {
      letIn();
      // All comes anew.
      story = { ...story, log: [] };
      [absent, lost] = ["", 0];
      note(story.about.stops === "none" ? story.about.stops_why : "");
    },
    news(news) {
      take(news);
      if (news.about && story.about.stops !== "both" && !isOver(story)) note(story.about.stops_why || "");
      if (isOver(story)) note("");
    },
    lost(heard, why) {
      absent = why ? "full" : "lost";
      soon("state");
      if (why) return note(`${why} This page tries again by itself.`);
      lost += 1;
      const words = lost < 4 ? "Lost contact with the server; trying again." :
        "Lost contact with the server. If the fit is over, this is the last that was heard; else the page goes on by itself.";
      note(words);
    },
    over() { return isOver(story); },
  });
}

byId("stop-later").addEventListener("click", () => ask(false));
byId("stop-now").addEventListener("click", () => byId("sure").showModal());
byId("sure").addEventListener("close", () => {
  if (byId("sure").returnValue === "yes") ask(true);
  byId("sure").returnValue = "";
});
byId("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  token = tokenOf(byId("token").value);
  byId("token").value = "";
  note(token ? "" : "That is neither the link nor a token.");
  begin();
});
window.addEventListener("hashchange", () => {
  if (tokenOf(location.hash)) {
    token = tokenOf(location.hash);
    begin();
  }
});

const saved = byId("story");
if (saved) {
  story = { ...story, ...JSON.parse(saved.textContent) };
  letIn();
  soon("about", "epochs", "moments", "workers", "staleness", "log");
} else {
  token = tokenOf(location.hash);
  begin();
  setInterval(() => { if (!isOver(story)) soon("state"); }, 1000);
}
