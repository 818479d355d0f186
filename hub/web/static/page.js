// Reload parts of a page that are marked `data-live` when the hub publishes a change of their kinds, and accept a
// recording that is dropped on the search form. Without this file every page still works; reloading it updates it.
"use strict";

(() => {
  const EVERY_MS = 2000; // shortest time between two fetches of the page
  const regions = () => [...document.querySelectorAll("[data-live]")];
  const status = document.getElementById("live");

  let due = new Set();
  let timer = null;
  let last = 0;

  const keepFocus = (region, fill) => {
    const focused = region.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
    fill();
    if (focused) {
      [...region.querySelectorAll("a[href]")].find((a) => a.getAttribute("href") === focused)?.focus();
    }
  };

  const refresh = async () => {
    timer = null;
    last = Date.now();
    const kinds = due;
    due = new Set();
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
      if (!answer.ok) return;
      if (answer.redirected) { location.reload(); return; } // the session has ended: the hub asks for a login
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const region of regions()) {
        const wanted = region.dataset.live.split(" ").some((kind) => kinds.has(kind));
        const other = fresh.getElementById(region.id);
        const typing = region.querySelector("input:focus, select:focus, audio:not([paused])");
        if (wanted && other && !typing && other.innerHTML !== region.innerHTML) {
          keepFocus(region, () => { region.innerHTML = other.innerHTML; });
        }
      }
    } catch {
      // the hub does not answer: the next change fetches the page again
    }
  };

  const happened = (kind) => {
    due.add(kind);
    if (timer === null) timer = setTimeout(refresh, Math.max(0, last + EVERY_MS - Date.now()));
  };

  const listen = () => {
    const source = new EventSource("/api/v1/stream");
    source.addEventListener("open", () => { status.textContent = "Live"; });
    source.addEventListener("error", () => { status.textContent = "Reconnecting"; });
    for (const kind of ["event", "episode", "sensor", "alert"]) {
      source.addEventListener(kind, () => happened(kind));
    }
    source.addEventListener("alert", (news) => {
      const alert = JSON.parse(news.data);
      status.textContent = `New alert: ${alert.name ?? alert.categories[0] ?? "a sound"} at ${alert.site}/${alert.sensor}`;
    });
    source.addEventListener("reset", () => { location.reload(); });
    window.addEventListener("pagehide", () => source.close());
  };

  const dropping = (zone) => {
    const input = zone.querySelector("input[type=file]");
    const over = (event) => { event.preventDefault(); zone.classList.add("over"); };
    zone.addEventListener("dragover", over);
    zone.addEventListener("dragleave", () => zone.classList.remove("over"));
    zone.addEventListener("drop", (event) => {
      event.preventDefault();
      zone.classList.remove("over");
      if (event.dataTransfer.files.length) input.files = event.dataTransfer.files;
    });
  };

  window.addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
  document.querySelectorAll("[data-drop]").forEach(dropping);
  if (regions().length && window.EventSource) listen();
})();
