// Show the level of the third-octave band and minute under the pointer. The levels are fetched when a pointer first
// enters the picture. Without this file the picture and the link to its data remain.
"use strict";

(() => {
  const hertz = (frequency) => (frequency >= 1000 ? `${frequency / 1000} kHz` : `${frequency} Hz`);
  const clock = (at, zone) => new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", timeZone: zone }).format(at);

  const attach = (figure) => {
    const picture = figure.querySelector(".over");
    const cursor = figure.querySelector(".cursor");
    const [down, across] = cursor.querySelectorAll("line");
    const readout = figure.querySelector(".readout");
    let data = null;
    let wanted = null;

    const load = () => {
      wanted ??= fetch(figure.dataset.bands, { headers: { Accept: "application/json" } })
        .then((answer) => (answer.ok ? answer.json() : Promise.reject(new Error(answer.statusText))))
        .then((answer) => { data = answer; })
        .catch(() => {
          wanted = null;
          readout.textContent = "The levels cannot be read now.";
        });
      return wanted;
    };
    const show = (event) => {
      if (!data) return;
      const box = picture.getBoundingClientRect();
      const inside = (share, count) => Math.max(0, Math.min(count - 1, Math.floor(share * count)));
      const minute = inside((event.clientX - box.left) / box.width, data.bands.length);
      const band = inside((box.bottom - event.clientY) / box.height, data.frequencies_hz.length);
      const x = `${(100 * (minute + 0.5)) / data.bands.length}%`;
      const y = `${100 - (100 * (band + 0.5)) / data.frequencies_hz.length}%`;
      down.setAttribute("x1", x);
      down.setAttribute("x2", x);
      across.setAttribute("y1", y);
      across.setAttribute("y2", y);
      cursor.removeAttribute("hidden");
      const level = data.bands[minute]?.[band] ?? null;
      const at = clock(Date.parse(data.start) + 1000 * data.period_s * minute, figure.dataset.zone);
      const text = level === null ? "no level" : `${level.toFixed(1).replace("-", "\u2212")} ${data.unit}`;
      readout.textContent = `${at}, ${hertz(data.frequencies_hz[band])}: ${text}`;
    };
    const on = (event) => load().then(() => show(event));

    readout.hidden = false;
    readout.textContent = "Point at the picture for the level of a band.";
    picture.addEventListener("pointermove", on);
    picture.addEventListener("pointerdown", on);
  };

  document.querySelectorAll("[data-bands]").forEach(attach);
})();
