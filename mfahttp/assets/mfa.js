// What the pages of mfahttp do more with a script than without, and passkeys and
// security keys, which no page can do without one. On the pages of mfahttp it reads
// nothing but the page, sends nothing but its forms, and keeps the ID of a new
// device until its trial. On the application's own it does what these have
// attributes for: data-mfa-passkey, autocomplete="... webauthn", data-mfa-upgrade.

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
  const label = b.textContent;
  const counting = b.dataset.waitText;
  waits.push({
    at,
    show: (text, s) => {
      b.disabled = s > 0;
      if (counting) b.textContent = s > 0 ? counting.replace("{time}", s < 100 ? `${s}\u00a0s` : text) : label;
    },
  });
}
for (const p of all("[data-wait-note]")) p.hidden = true; // the button tells it
function tick() {
  let waiting = false;
  const two = (n) => String(n).padStart(2, "0");
  for (const w of waits) {
    const s = Math.max(0, Math.ceil((w.at - Date.now()) / 1000));
    const minutes = Math.floor(s / 60);
    const text = minutes >= 60 ? `${Math.floor(minutes / 60)}:${two(minutes % 60)}:${two(s % 60)}` : `${minutes}:${two(s % 60)}`;
    w.show(s > 0 ? text : "", s);
    waiting ||= s > 0;
  }
  if (waiting) setTimeout(tick, 1000);
}
if (waits.length) tick();

// After a refused code, typing replaces it.
const invalid = document.querySelector(".mfa input[aria-invalid]");
if (invalid) invalid.select();

// Passkeys and security keys: between JSON and what the browser's calls take.
const fromBase64 = (s) => Uint8Array.from(atob(s.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
const toBase64 = (b) => {
  const text = Array.from(new Uint8Array(b), (c) => String.fromCharCode(c)).join("");
  return btoa(text).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
};
const known = (list) => (list ?? []).map((c) => ({ ...c, id: fromBase64(c.id) }));

function creationOptions(o) {
  if (PublicKeyCredential.parseCreationOptionsFromJSON) return PublicKeyCredential.parseCreationOptionsFromJSON(o);
  return {
    ...o, challenge: fromBase64(o.challenge), user: { ...o.user, id: fromBase64(o.user.id) },
    excludeCredentials: known(o.excludeCredentials),
  };
}

function requestOptions(o) {
  if (PublicKeyCredential.parseRequestOptionsFromJSON) return PublicKeyCredential.parseRequestOptionsFromJSON(o);
  return { ...o, challenge: fromBase64(o.challenge), allowCredentials: known(o.allowCredentials) };
}

function credentialJSON(c) {
  try {
    return JSON.stringify(c.toJSON());
  } catch {
    // There is none, or a password manager has put itself in the place of it.
  }
  const r = c.response;
  const response = { clientDataJSON: toBase64(r.clientDataJSON) };
  if (r.attestationObject) {
    response.attestationObject = toBase64(r.attestationObject);
    response.transports = r.getTransports?.() ?? [];
  } else {
    response.authenticatorData = toBase64(r.authenticatorData);
    response.signature = toBase64(r.signature);
    if (r.userHandle) response.userHandle = toBase64(r.userHandle);
  }
  return JSON.stringify({
    id: c.id, rawId: toBase64(c.rawId), type: c.type, response, clientExtensionResults: c.getClientExtensionResults(),
  });
}

// Why nothing came of it, in the words that the page has for it.
function why(error, words) {
  switch (error?.name) {
    case "InvalidStateError": return words.registered ?? words.refused;
    case "SecurityError":
    case "NotSupportedError": return words.unsuitable ?? words.refused;
    case "TypeError":
    case "Error": return words.unavailable ?? words.refused; // of the way to the server
  }
  return words.refused; // NotAllowedError says no more, so that no site learns more
}

// What was kept for the trial of a new device; without storage any device will do.
const kept = {
  get(key) { try { return sessionStorage.getItem(key); } catch { return null; } },
  set(key, value) { try { sessionStorage.setItem(key, value); } catch { /* then not */ } },
};

for (const form of all("form[data-credential]")) {
  const start = form.querySelector("[data-start]");
  const said = form.querySelector("[data-said]");
  const say = (text) => {
    said.hidden = !text;
    said.querySelector("span").textContent = text;
  };
  if (!window.PublicKeyCredential || !navigator.credentials) {
    say(form.dataset.unsupported);
    continue;
  }
  start.disabled = false;
  if (start.autofocus) start.focus();
  start.addEventListener("click", async () => {
    if (form.dataset.sent || start.disabled) return;
    say("");
    start.disabled = true;
    try {
      const o = JSON.parse(form.dataset.options);
      const create = form.dataset.credential === "create";
      if (form.hasAttribute("data-new")) {
        const only = o.allowCredentials?.filter((c) => c.id === kept.get("mfa-new"));
        if (only?.length) o.allowCredentials = only;
      }
      const c = create
        ? await navigator.credentials.create({ publicKey: creationOptions(o) })
        : await navigator.credentials.get({ publicKey: requestOptions(o) });
      if (create) kept.set("mfa-new", c.id);
      form.elements.credential.value = credentialJSON(c);
      form.requestSubmit();
    } catch (error) {
      say(why(error, form.dataset));
      start.disabled = false;
      start.focus();
      return;
    }
    start.disabled = false; // data-once keeps it from being sent twice
  });
}

// The browser is told which passkeys there still are, and what the account is
// called, so that it offers no others.
if (main?.dataset.signals && window.PublicKeyCredential) {
  for (const { accepted, details } of Object.values(JSON.parse(main.dataset.signals))) {
    if (accepted) PublicKeyCredential.signalAllAcceptedCredentials?.(accepted).catch(() => {});
    if (details) PublicKeyCredential.signalCurrentUserDetails?.(details).catch(() => {});
  }
}

// The application's own pages. Where the Handler is, this module's address says.
const path = new URL("../", import.meta.url).pathname;

async function call(method, name, body) {
  const res = await fetch(`${path}api/${name}`, {
    method, headers: { Accept: "application/json", "Content-Type": "application/json" },
    body: body && JSON.stringify(body), credentials: "same-origin", cache: "no-store",
    keepalive: true, // its cookies are wanted though the person goes on
  });
  if (!res.ok) throw new Error(`${res.status}`);
  return [await res.json(), res.headers.get("Date")];
}

const button = document.querySelector("button[data-mfa-passkey]");
const field = document.querySelector('input[autocomplete~="webauthn"]');
if (!main && (button || field) && window.PublicKeyCredential && navigator.credentials) {
  const said = document.querySelector("[data-mfa-said]");
  const say = (text) => {
    if (!said) return;
    said.hidden = !text;
    said.textContent = text ?? "";
  };
  // One sign-in for the button and the autofill: the first answer of the server
  // brings the cookie that ties it to this browser.
  let sign = null;
  const fresh = async () => {
    const ask = () => call("POST", "passkey", {});
    // One tab at a time, so that the second has the cookie that the first got.
    const [answer, date] = await (navigator.locks ? navigator.locks.request("mfa-passkey", ask) : ask());
    const lasts = new Date(answer.expires) - (date ? new Date(date) : Date.now());
    return { ...answer, until: Date.now() + Math.max(lasts - 60_000, 30_000) };
  };
  const begin = async () => {
    const s = sign && (await sign.catch(() => null));
    if (!s || Date.now() > s.until) sign = fresh();
    return sign;
  };
  const send = (s, c) => {
    const form = document.createElement("form");
    form.method = "post";
    form.action = `${path}passkey`;
    form.hidden = true;
    const next = button?.dataset.next ?? field?.form?.elements.next?.value;
    const values = { token: s.token, kind: s.kind, credential: credentialJSON(c), next };
    for (const [name, value] of Object.entries(values)) {
      if (!value) continue;
      const input = document.createElement("input");
      input.type = "hidden";
      input.name = name;
      input.value = value;
      form.append(input);
    }
    document.body.append(form);
    sign = null; // it is used up
    form.submit();
  };

  let offering = null; // what ends the autofill
  const offer = async () => {
    if (!field || !(await PublicKeyCredential.isConditionalMediationAvailable?.())) return;
    offering?.abort();
    const mine = new AbortController();
    offering = mine;
    try {
      const s = await begin();
      if (mine.signal.aborted) return;
      // A challenge that is over is of no use: there is a new one before.
      const renew = setTimeout(offer, s.until - Date.now() + 1000);
      mine.signal.addEventListener("abort", () => clearTimeout(renew));
      const c = await navigator.credentials.get({ publicKey: requestOptions(s.options), mediation: "conditional", signal: mine.signal });
      clearTimeout(renew);
      if (c) send(s, c);
    } catch {
      // Nobody has asked for it, so nobody is told.
    }
  };
  offer();
  addEventListener("pageshow", (event) => {
    if (event.persisted) offer();
  });

  if (button) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      if (button.disabled) return;
      say("");
      button.disabled = true;
      offering?.abort(); // a browser has one such request at a time
      offering = null;
      try {
        const s = await begin();
        send(s, await navigator.credentials.get({ publicKey: requestOptions(s.options) }));
      } catch (error) {
        say(why(error, button.dataset));
        offer();
      }
      button.disabled = false;
      button.focus(); // which it lost when it was disabled
    });
  }
}

// After a sign-in by password, browsers that can make a passkey without asking do
// so, once in a tab, for who has a second step already. Whatever fails is silent.
async function upgrade(kind) {
  if (kept.get("mfa-upgrade") || !(await PublicKeyCredential.getClientCapabilities?.())?.conditionalCreate) return;
  kept.set("mfa-upgrade", "1");
  const [have] = await call("GET", "settings");
  // Where nothing is set up, it would turn the second step on, unasked.
  if (!have.enabled || !have.available.includes(kind) || have.factors.some((f) => f.kind === kind)) return;
  const [e] = await call("POST", "settings/enroll", { kind, conditional: true });
  const c = await navigator.credentials.create({ publicKey: creationOptions(e.challenge.options), mediation: "conditional" });
  await call("POST", "settings/confirm", { kind, enrollment_id: e.id, credential: JSON.parse(credentialJSON(c)) });
}
const upgrading = document.querySelector("[data-mfa-upgrade]");
if (!main && upgrading && window.PublicKeyCredential) upgrade(upgrading.dataset.mfaUpgrade || "webauthn").catch(() => {});
