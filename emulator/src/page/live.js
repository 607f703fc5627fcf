// Shows what changes without a reload, and sends the buttons' forms in the background. The server writes all HTML; without
// this script the page reloads itself, and the forms are ordinary ones.
"use strict";
const live = document.getElementById("live");
const said = document.getElementById("said");
const lost = document.getElementById("lost");

const pause = (time) => new Promise((done) => setTimeout(done, time));

// A button that is pressed must not be exchanged before it is released.
let pressed = false;
addEventListener("pointerdown", () => { pressed = true; }, true);
for (const event of ["pointerup", "pointercancel"]) {
  // The click comes after it.
  addEventListener(event, () => setTimeout(() => { pressed = false; }), true);
}

function exchange(html) {
  const focused = live.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  live.innerHTML = html;
  if (focused) {
    for (const element of live.querySelectorAll("[data-key]")) {
      if (element.dataset.key === focused) element.focus({ preventScroll: true });
    }
  }
}

async function follow() {
  let seen = live.dataset.seen;
  for (;;) {
    try {
      const answer = await fetch(live.dataset.from, { headers: { "if-none-match": seen }, cache: "no-store" });
      if (answer.status === 200) {
        const html = await answer.text();
        while (pressed) await pause(50);
        exchange(html);
        seen = answer.headers.get("etag");
        await pause(200);
      } else if (answer.status !== 304) {
        throw new Error(answer.statusText);
      }
      lost.hidden = true;
    } catch {
      lost.hidden = false;
      await pause(1000);
    }
  }
}

async function send(form, button) {
  const fields = new URLSearchParams(new FormData(form, button));
  try {
    const answer = await fetch(form.action, { method: "POST", body: fields });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    said.textContent = page.getElementById("said")?.textContent ?? answer.statusText;
  } catch {
    said.textContent = "The emulator does not answer: nothing was changed.";
  }
}

if (live) {
  follow();
  addEventListener("submit", (event) => {
    if (event.target.method === "post") {
      event.preventDefault();
      send(event.target, event.submitter);
    }
  });
}
