// Show the levels under the pointer on a chart of levels, and open the shorter span of a place that is clicked. Arrow
// keys move the place, and Enter opens it.
// Without this file the chart and the tables still show all levels; links lead to shorter spans.
"use strict";

(() => {
  const text = (data, at) => {
    const parts = data.series
      .filter((one) => one.values[at] !== null)
      .map((one) => `${one.name} ${one.values[at].toFixed(1).replace("-", "\u2212")}`);
    const valid = data.valid.length && parts.length ? `, ${data.valid[at]} s valid` : "";
    return `${data.labels[at]}: ${parts.length ? `${parts.join(", ")} ${data.unit}` : "no levels"}${valid}`;
  };

  const attach = (figure) => {
    const data = JSON.parse(figure.querySelector("[data-values]").textContent);
    const chart = figure.querySelector(".over");
    const cursor = figure.querySelector(".cursor");
    const line = cursor.querySelector("line");
    const readout = figure.querySelector(".readout");
    const count = data.labels.length;
    let shown = -1;

    const show = (at) => {
      shown = Math.max(0, Math.min(count - 1, at));
      const x = `${(100 * (shown + 0.5)) / count}%`;
      line.setAttribute("x1", x);
      line.setAttribute("x2", x);
      cursor.removeAttribute("hidden");
      readout.textContent = text(data, shown);
    };
    const under = (event) => {
      const box = chart.getBoundingClientRect();
      return Math.floor((count * (event.clientX - box.left)) / box.width);
    };

    const open = (at) => {
      location.search = `?${data.links[Math.max(0, Math.min(count - 1, at))]}`;
    };
    const moves = { ArrowLeft: () => shown - 1, ArrowRight: () => shown + 1, Home: () => 0, End: () => count - 1 };

    readout.hidden = false;
    readout.setAttribute("role", "status");
    readout.textContent = "Point at the chart for the levels of a time.";
    chart.addEventListener("pointermove", (event) => show(under(event)));
    chart.addEventListener("pointerdown", (event) => show(under(event)));
    chart.setAttribute("tabindex", "0");
    chart.addEventListener("keydown", (event) => {
      if (moves[event.key]) {
        event.preventDefault();
        show(moves[event.key]());
      } else if (event.key === "Enter" && shown >= 0 && data.links.length) open(shown);
    });
    if (data.links.length) {
      chart.classList.add("opens");
      chart.addEventListener("click", (event) => {
        const finger = event.pointerType === "touch"; // a finger reads levels; the links below open shorter spans
        if (!finger) open(under(event));
      });
    }
  };

  document.querySelectorAll("[data-chart]").forEach(attach);
})();
