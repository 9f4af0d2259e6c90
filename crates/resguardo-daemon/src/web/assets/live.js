// Keeps a page true: fetches it again when the server says that something changed, and replaces the parts
// that carry data-live. Everything works without it.
"use strict";
(() => {
  const root = document.documentElement;
  const body = document.body;
  const units = [["year", 31557600], ["month", 2629800], ["day", 86400], ["hour", 3600], ["minute", 60]];
  const words = new Intl.RelativeTimeFormat(root.lang, { numeric: "always" });

  // Times that are told as a distance from now.
  function tick() {
    for (const time of document.querySelectorAll("time:not(.at)")) {
      const moment = Date.parse(time.dateTime);
      if (Number.isNaN(moment)) continue;
      if (!time.title) time.title = new Date(moment).toLocaleString(root.lang);
      const seconds = Math.round((moment - Date.now()) / 1000);
      const unit = units.find(([, length]) => Math.abs(seconds) >= length);
      if (!unit) continue;
      const text = words.format(Math.trunc(seconds / unit[1]), unit[0]);
      if (time.textContent !== text) time.textContent = text;
    }
  }

  // A log is read from its end, unless somebody scrolled up.
  function atEnd(log) {
    return log.scrollHeight - log.scrollTop - log.clientHeight < 24;
  }
  function toEnd() {
    for (const log of document.querySelectorAll(".log")) log.scrollTop = log.scrollHeight;
  }

  function replace(fresh) {
    for (const part of document.querySelectorAll("[data-live]")) {
      const other = fresh.getElementById(part.id);
      if (!other || other.innerHTML === part.dataset.html) continue;
      // What somebody types is not taken away.
      const active = part.contains(document.activeElement) ? document.activeElement : null;
      if (active && active.matches("input, textarea, select")) continue;
      const address = active && active.getAttribute("href");
      const open = [...part.querySelectorAll("details[open]")].map((one) => one.id);
      const log = part.querySelector(".log");
      const end = !log || atEnd(log);
      const top = log ? log.scrollTop : 0;
      part.dataset.html = other.innerHTML;
      part.innerHTML = other.innerHTML;
      for (const id of open) {
        const one = id && document.getElementById(id);
        if (one) one.open = true;
      }
      const newLog = part.querySelector(".log");
      if (newLog) newLog.scrollTop = end ? newLog.scrollHeight : top;
      if (address) {
        const same = [...part.querySelectorAll("a[href]")].find((a) => a.getAttribute("href") === address);
        if (same) same.focus({ preventScroll: true });
      }
    }
    if (fresh.title) document.title = fresh.title;
    // A run that ended is followed no longer.
    if (body.dataset.run && fresh.body.dataset.run !== body.dataset.run) close();
    tick();
  }

  let busy = false;
  let again = false;
  async function refresh() {
    if (busy) { again = true; return; }
    busy = true;
    try {
      const answer = await fetch(location.href, { cache: "no-cache", credentials: "same-origin" });
      if (answer.redirected) { location.reload(); return; }
      if (answer.ok) {
        replace(new DOMParser().parseFromString(await answer.text(), "text/html"));
        lost(false);
      }
    } catch {
      lost(true);
    }
    // Not more often than once a second, however much happens.
    setTimeout(() => {
      busy = false;
      if (again) { again = false; refresh(); }
    }, 1000);
  }

  function lost(is) {
    const banner = document.getElementById("lost");
    if (banner) banner.hidden = !is;
  }

  // A stream that breaks off is opened again by the browser: only one that stays away is worth a word.
  let waiting = null;
  function away() {
    if (!waiting) waiting = setTimeout(() => { lost(true); }, 15000);
  }
  function back() {
    clearTimeout(waiting);
    waiting = null;
    lost(false);
  }

  let events = null;
  function close() {
    if (events) events.close();
    events = null;
  }
  function open() {
    if (!body.dataset.events || events) return;
    events = new EventSource(body.dataset.events);
    events.onopen = back;
    events.onerror = away;
    const run = body.dataset.run;
    if (!run) events.addEventListener("status", refresh);
    events.addEventListener("run", (event) => {
      const about = JSON.parse(event.data);
      if (!run || run === about.run || run === `now-${about.key}`) refresh();
    });
  }

  // A page that nobody sees keeps no stream open.
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) close();
    else { open(); if (body.dataset.events) refresh(); }
  });
  addEventListener("pagehide", close);

  tick();
  toEnd();
  setInterval(tick, 20000);
  open();
})();
