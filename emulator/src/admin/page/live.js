// Updates the live part without a reload, and sends the forms of the buttons in the background. The server renders all HTML.
// Without this script, the page has a link to refresh it, and the forms are ordinary ones.
"use strict";
const live = document.getElementById("live");
const notice = document.getElementById("notice");
const offline = document.getElementById("offline");

const pause = (time) => new Promise((done) => setTimeout(done, time));

// While a button is held with the mouse or the space bar, the live part must not be replaced: the click comes at the release.
let pressed = false;
let limit;

function press(longest) {
  pressed = true;
  clearTimeout(limit);
  if (longest) limit = setTimeout(release, longest);
}

function release() {
  pressed = false;
  clearTimeout(limit);
}

// A menu or a lost pointer may swallow the release, so the hold ends after two seconds.
addEventListener("pointerdown", (event) => { if (event.button === 0) press(2000); }, true);
addEventListener("keydown", (event) => { if (event.key === " ") press(); }, true);
for (const event of ["pointerup", "pointercancel", "keyup"]) {
  // The click comes after this event.
  addEventListener(event, () => setTimeout(release), true);
}
for (const event of ["contextmenu", "dragend", "blur"]) addEventListener(event, release);

function exchange(html) {
  const focused = live.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  live.innerHTML = html;
  if (focused) {
    const known = (key) => [...live.querySelectorAll("[data-key]")].find((element) => element.dataset.key === key);
    // The button may be gone after its action: then its row gets the focus.
    const again = known(focused) ?? known(focused.replace(/^\w+ /, "look "));
    again?.focus({ preventScroll: true });
  }
}

async function follow() {
  let tag = live.dataset.tag;
  for (;;) {
    try {
      const answer = await fetch(live.dataset.from, { headers: { "if-none-match": tag }, cache: "no-store" });
      if (answer.status === 200) {
        const html = await answer.text();
        while (pressed) await pause(50);
        exchange(html);
        tag = answer.headers.get("etag");
        await pause(200);
      } else if (answer.status !== 304) {
        throw new Error(answer.statusText);
      }
      offline.hidden = true;
    } catch {
      offline.hidden = false;
      await pause(1000);
    }
  }
}

async function send(form, button) {
  const fields = new URLSearchParams(new FormData(form, button));
  try {
    const answer = await fetch(form.action, { method: "POST", body: fields });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    notice.textContent = page.getElementById("notice")?.textContent ?? answer.statusText;
  } catch {
    notice.textContent = "The emulator does not respond. Nothing was changed.";
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
