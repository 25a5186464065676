// What the pages of mfahttp do more with a script than without: no page needs
// it. It reads nothing but the page and sends nothing.

const main = document.querySelector("main.mfa");
const lang = main?.lang || undefined;
const all = (selector) => document.querySelectorAll(`.mfa ${selector}`);

// A page that is the answer to a form has an address to be reloaded from and to
// come back to; otherwise the browser would want to send the form again.
const here = main?.dataset.here;
if (here) history.replaceState(null, "", here);

// A form that is on its way is not sent again by a second click.
for (const form of all("form[data-once]")) {
  form.addEventListener("submit", (event) => {
    if (form.dataset.sent) {
      event.preventDefault();
      return;
    }
    form.dataset.sent = "1";
    for (const b of form.querySelectorAll("button")) b.setAttribute("aria-disabled", "true");
  });
}
// Back from the next page, the form is as good as new.
addEventListener("pageshow", () => {
  for (const form of all("form[data-sent]")) {
    delete form.dataset.sent;
    for (const b of form.querySelectorAll("button")) b.removeAttribute("aria-disabled");
  }
});

// Copy and print need a script, so without one they are not there.
for (const b of all("button[data-copy]")) {
  const from = b.closest(".mfa-secret, .mfa-card").querySelector("[data-copy-text]");
  if (!from || !navigator.clipboard) continue;
  const label = b.textContent;
  b.hidden = false;
  b.setAttribute("aria-live", "polite");
  b.addEventListener("click", async () => {
    const items = [...from.querySelectorAll("code")].map((c) => c.textContent);
    try {
      await navigator.clipboard.writeText(items.length ? items.join("\n") : from.textContent);
    } catch {
      getSelection().selectAllChildren(from);
      return;
    }
    b.textContent = b.dataset.done;
    setTimeout(() => { b.textContent = label; }, 2000);
  });
}
for (const b of all("button[data-print]")) {
  b.hidden = false;
  b.addEventListener("click", () => print());
}

// Times are written in UTC; here the user's own clock and calendar are known.
for (const t of all("time[data-day]")) {
  t.textContent = new Date(t.dateTime).toLocaleDateString(lang, { dateStyle: "medium" });
}
const now = main?.dataset.now;
const skew = now ? Date.now() - new Date(now) : 0; // of this clock against the server's
const waits = [];
for (const t of all("time[data-until]")) {
  const at = new Date(t.dateTime).getTime() + skew;
  t.textContent = new Date(at).toLocaleTimeString(lang, { timeStyle: "medium" });
  // It changes every second, which nobody wants to have read out.
  const left = document.createElement("span");
  left.setAttribute("aria-hidden", "true");
  t.after(left);
  waits.push({ at, show: (text) => { left.textContent = text && ` (${text})`; } });
}
for (const b of all("button[data-wait]")) {
  const at = new Date(b.dataset.wait).getTime() + skew;
  waits.push({ at, show: (text) => { b.disabled = text !== ""; } });
}
function tick() {
  let waiting = false;
  const two = (n) => String(n).padStart(2, "0");
  for (const w of waits) {
    const s = Math.max(0, Math.ceil((w.at - Date.now()) / 1000));
    const minutes = Math.floor(s / 60);
    const text = minutes >= 60 ? `${Math.floor(minutes / 60)}:${two(minutes % 60)}:${two(s % 60)}` : `${minutes}:${two(s % 60)}`;
    w.show(s > 0 ? text : "");
    waiting ||= s > 0;
  }
  if (waiting) setTimeout(tick, 1000);
}
if (waits.length) tick();

// After a refused code, typing replaces it.
const invalid = document.querySelector(".mfa input[aria-invalid]");
if (invalid) invalid.select();
