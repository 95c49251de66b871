// What the server sends, read with fetch: an EventSource can't send a header, and the token goes
// nowhere else.

const SILENCE = 15000, FIRST_WAIT = 500, LONGEST_WAIT = 10000;

function tokenOf(text) {
  const found = /#token=([\w-]+)/.exec(text) || /^\s*([\w-]{16,})\s*$/.exec(text);
  return found ? found[1] : "";
}

function address(route) { return new URL(route, location.href.split("#")[0]); }

// Asks again and again until `told` says that all is over; a generation of it ends another.
let asking = 0;

async function watch(token, hears) {
  const me = ++asking;
  let wait = FIRST_WAIT;
  while (me === asking) {
    const ending = new AbortController();
    let silent = setTimeout(() => ending.abort(), SILENCE), heard = false, why = "";
    try {
      const answer = await fetch(address("watch"), {
        headers: { Authorization: `Bearer ${token}` }, cache: "no-store", signal: ending.signal,
      });
      if (me !== asking) return;
      if (answer.status === 401) return hears.refused();
      if (answer.status === 429) why = await reason(answer);
      if (!answer.ok) throw new Error(String(answer.status));
      hears.began();
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      for (let rest = "", piece = await reader.read(); !piece.done; piece = await reader.read()) {
        clearTimeout(silent);
        silent = setTimeout(() => ending.abort(), SILENCE);
        [wait, heard] = [FIRST_WAIT, true];
        const parts = (rest + piece.value).split("\n\n");
        rest = parts.pop();
        for (const part of parts) {
          if (part.startsWith("data: ") && me === asking) hears.news(JSON.parse(part.slice(6)));
        }
      }
    } catch (error) {
      // Gone, or silent: it is tried again below.
    } finally {
      clearTimeout(silent);
    }
    if (me !== asking || hears.over()) return;
    hears.lost(heard, why);
    await new Promise((resolve) => setTimeout(resolve, wait));
    wait = Math.min(wait * 1.6, LONGEST_WAIT);
  }
}

async function stop(token, now) {
  const answer = await fetch(address("stop"), {
    method: "POST", headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" },
    body: JSON.stringify({ now }),
  });
  return answer.ok ? "" : reason(answer);
}

async function reason(answer) {
  const said = await answer.json().catch(() => ({}));
  return said.reason || `The server answered ${answer.status}.`;
}
