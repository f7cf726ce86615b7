// What pages do beyond links and forms: keys, copying, time that runs, news that arrives. Everything works without it.
"use strict";
(() => {
  const root = document.documentElement;
  const at = root.dataset.at || "";
  const status = document.getElementById("status");
  const say = (text) => { if (status) { status.textContent = ""; setTimeout(() => { status.textContent = text; }, 50); } };
  root.dataset.script = "";

  // Copying. A button says what became of it, in words.
  const copyText = async (text, told) => {
    try { await navigator.clipboard.writeText(text); say(told); return true; } catch { say("Copying is not allowed here; select the text instead"); return false; }
  };
  const prepare = (within) => {
    for (const button of within.querySelectorAll("[data-copy][hidden]")) button.hidden = false;
    for (const button of document.querySelectorAll("[data-keys-open][hidden]")) button.hidden = false;
    for (const left of within.querySelectorAll("[data-until]:not([data-end])")) left.dataset.end = String(Date.now() + Number(left.dataset.until) * 1000);
  };
  prepare(document);
  // What was done can be taken back for ten seconds; then the way back goes, unless somebody is about to take it.
  for (const undo of document.querySelectorAll("[data-undo]")) {
    const button = undo.querySelector("button");
    let seconds = 10;
    const tick = setInterval(() => {
      if (undo.contains(document.activeElement)) return;
      seconds -= 1;
      if (button) button.textContent = "Undo (" + seconds + " s)";
      if (seconds <= 0) { clearInterval(tick); undo.hidden = true; }
    }, 1000);
  }
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-copy]");
    if (button) {
      const code = button.closest("figure")?.querySelector("code");
      if (code) copyText(code.textContent, "Copied");
    }
    if (event.target.closest("[data-keys-open]")) document.getElementById("keyboard")?.showModal();
    // A menu closes when something else is clicked.
    for (const open of document.querySelectorAll("details.copy[open], details.who[open], details.switch[open]")) if (!open.contains(event.target)) open.open = false;
  });

  // A filter is sent when it changes; typed text waits for Enter or for leaving the field.
  document.addEventListener("change", (event) => {
    const form = event.target.closest("form[data-auto]");
    if (form && event.target.type !== "datetime-local") form.requestSubmit();
  });
  // A time changes with each key: it is sent when its field is left.
  document.addEventListener("focusout", ({ target: field }) => {
    if (field.type === "datetime-local" && field.form?.matches("[data-auto]") && field.value !== field.defaultValue) field.form.requestSubmit();
  });
  // Empty filters stay out of the address. A form is sent once, however often its button is pressed.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.method === "get") {
      for (const field of form.elements) if (field.name && field.value === "") field.disabled = true;
      setTimeout(() => { for (const field of form.elements) field.disabled = false; }, 0);
      return;
    }
    if (form.method !== "post") return;
    if (form.dataset.sent) { event.preventDefault(); return; }
    form.dataset.sent = "1";
    form.setAttribute("aria-busy", "true");
    setTimeout(() => { delete form.dataset.sent; form.removeAttribute("aria-busy"); }, 8000);
  });

  // Time left runs on; it is said aloud at five minutes and at one, and when it is over.
  const two = (n) => String(n).padStart(2, "0");
  const words = (s) => s <= 0 ? "no time" : s < 3600 ? two(Math.floor(s / 60)) + ":" + two(s % 60) : s < 172800 ? Math.floor(s / 3600) + " h" : Math.floor(s / 86400) + " d";
  const told = new Set();
  setInterval(() => {
    for (const left of document.querySelectorAll("[data-end]")) {
      const seconds = Math.max(0, Math.round((Number(left.dataset.end) - Date.now()) / 1000));
      const text = left.querySelector("[data-left]") || left;
      const now = words(seconds);
      if (text.textContent !== now) text.textContent = now;
      if ("announce" in left.dataset) {
        const key = left.closest("[data-approval]")?.dataset.approval + "/" + seconds;
        if ((seconds === 300 || seconds === 60 || seconds === 0) && !told.has(key)) {
          told.add(key);
          say(seconds === 0 ? "The time of this request is over" : "This request ends in " + (seconds / 60) + (seconds === 60 ? " minute" : " minutes"));
        }
      }
      const bar = left.closest("a")?.querySelector("progress");
      if (bar) bar.value = seconds;
    }
  }, 1000);

  // News: what one reads never moves. A line says that there is more, and a press shows it.
  const stale = document.getElementById("stale");
  let heard = true;
  const live = (is) => { if (stale && heard !== is) { heard = is; stale.hidden = is; say(is ? "Live again" : "Not live: what is shown may be old"); } };
  document.addEventListener("htmx:sse:error", () => live(false));
  document.addEventListener("htmx:sse:after:connection", () => live(true));
  document.addEventListener("htmx:sse:after:message", () => live(true));
  // A line that was lost is tried again by itself; one that never was is not.
  const line = document.getElementById("live");
  let tries = 0, waits = false;
  const again = () => {
    live(false);
    if (waits) return;
    waits = true;
    setTimeout(() => { waits = false; htmx.trigger(line, "again"); }, Math.min(60000, 500 * 2 ** tries++));
  };
  for (const failure of ["htmx:error", "htmx:response:error"]) line?.addEventListener(failure, again);
  const look = () => {
    const state = document.getElementById("live-state");
    if (!state || !("newest" in state.dataset)) return;
    for (const line of document.querySelectorAll("[data-watch]")) {
      if (line.hidden && state.dataset[line.dataset.watch] !== line.dataset.now) { line.hidden = false; say("This list has changed"); }
    }
    const news = document.querySelector("[data-news]");
    if (!news) return;
    const newest = state.dataset.newest || "";
    const fresh = newest > news.dataset.news;
    if (fresh && news.hidden) say("New requests arrived");
    if (fresh) news.hidden = false;
  };
  // The message is told before what it brings is put in: it is looked at when it is there. One may be there already.
  if (line) { new MutationObserver(look).observe(document.body, { childList: true }); look(); }
  document.addEventListener("htmx:after:swap", () => {
    prepare(document);
    const shown = document.querySelector("#pane [data-approval]");
    if (!shown) return;
    for (const link of document.querySelectorAll("#queue a")) {
      if (link.dataset.key === shown.dataset.approval) link.setAttribute("aria-current", "true"); else link.removeAttribute("aria-current");
    }
  });

  // Keys. Off switch: Settings, Look and keyboard. No single key stops anything.
  const typing = (el) => el && (el.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(el.tagName) && el.type !== "checkbox");
  const rows = () => {
    const list = document.querySelector("main [data-list]");
    return list ? [...list.querySelectorAll(":scope > li, :scope > tbody > tr")].map((row) => row.querySelector("a")).filter(Boolean) : [];
  };
  const move = (by) => {
    const links = rows();
    if (!links.length) return;
    const now = links.findIndex((link) => link === document.activeElement || link.getAttribute("aria-current") === "true" && !links.includes(document.activeElement));
    const next = links[Math.min(links.length - 1, Math.max(0, now + by))];
    next.focus();
    // In the queue, moving on is looking at it.
    if (next.hasAttribute("hx-get")) next.click();
  };
  const go = (key) => document.querySelector('[data-go="' + CSS.escape(key) + '"]')?.click();
  const press = (form, key) => {
    const button = [...document.querySelectorAll(form + " [data-key]")].find((b) => b.dataset.key === key);
    if (button) button.click();
    return Boolean(button);
  };
  let went = 0;
  document.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") { event.preventDefault(); document.getElementById("search")?.focus(); return; }
    if (event.key === "Escape") {
      for (const open of document.querySelectorAll("details[open]")) if (open.contains(document.activeElement)) { open.open = false; open.querySelector("summary")?.focus(); }
      if (typing(document.activeElement)) document.activeElement.blur();
      return;
    }
    if (!("keys" in root.dataset) || event.ctrlKey || event.metaKey || event.altKey || typing(event.target) || document.querySelector("dialog[open]")) return;
    const key = event.key;
    if (went && Date.now() - went < 1500) { went = 0; event.preventDefault(); go(key); return; }
    went = 0;
    if (key === "g") { went = Date.now(); return; }
    if (key === "/") { event.preventDefault(); document.getElementById("search")?.focus(); }
    else if (key === "?") { event.preventDefault(); document.getElementById("keyboard")?.showModal(); }
    else if (key === "j" || key === "k") { event.preventDefault(); move(key === "j" ? 1 : -1); }
    else if (key === "y") copyText(location.href, "Link copied");
    else if (key === ".") { const copy = document.querySelector("details.copy"); if (copy) { event.preventDefault(); copy.open = true; copy.querySelector("summary").focus(); } }
    else if (document.querySelector('details[data-opens="' + CSS.escape(key) + '"]')) { const more = document.querySelector('details[data-opens="' + CSS.escape(key) + '"]'); event.preventDefault(); more.open = true; more.querySelector("textarea, input:not([type=hidden]), select")?.focus(); }
    else if (key === "a") { if (press("#decide", "a")) event.preventDefault(); else if (document.querySelector('#decide [data-key="Shift+A"]')) say("The effect is severe: press Shift and A to approve"); }
    else if (key === "A" && event.shiftKey) { if (press("#decide", "Shift+A")) event.preventDefault(); }
    else if (key === "d") { const reason = document.getElementById("decide-reason"); if (reason && !reason.value) { event.preventDefault(); reason.focus(); say("Say why, then press Deny"); } else if (press("#decide", "d")) event.preventDefault(); }
  });
})();
