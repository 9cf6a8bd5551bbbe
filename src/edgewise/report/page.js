(() => {
  "use strict";
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const hidden = new Set();
  const PAPER = 620;   // width of a chart on paper, in pixels
  let width = null;

  const chosen = () => document.querySelector("input[name=method]:checked")?.value;
  const draw = (box) => {
    const figure = "switched" in box.dataset ? figures[box.dataset.figure][chosen()] : figures[box.dataset.figure];
    const title = box.getAttribute("aria-label");
    if (!figure) charts.empty(box, "Not recorded for this method.");
    else if (figure.z) charts.heat(box, { ...figure, title, width });
    else if (figure.counts) { charts.stacked(box, figure, width); box.prepend(charts.states(figure)); }
    else if (figure.entries) charts.reliability(box, figure.entries.filter((entry) => !hidden.has(entry.method)), width);
    else {
      const shown = (entry) => !hidden.has(entry.method);
      charts.lines(box, { ...figure, title, width, series: figure.series.filter(shown), marks: figure.marks.filter(shown) });
    }
  };
  const boxes = [...document.querySelectorAll("[data-figure]")];
  const redraw = (which = () => true) => boxes.filter(which).forEach(draw);

  document.querySelectorAll("[data-method]").forEach((chip) => chip.addEventListener("click", () => {
    const shown = chip.getAttribute("aria-pressed") !== "true";
    chip.setAttribute("aria-pressed", String(shown));
    hidden[shown ? "delete" : "add"](chip.dataset.method);
    redraw((box) => !("switched" in box.dataset));
  }));
  document.querySelectorAll("input[name=method]").forEach((radio) =>
    radio.addEventListener("change", () => redraw((box) => "switched" in box.dataset)));

  charts.scheme();
  let seen = innerWidth, timer = 0;
  addEventListener("resize", () => {
    if (innerWidth === seen || width) return;
    seen = innerWidth;
    clearTimeout(timer);
    timer = setTimeout(redraw, 120);
  });
  addEventListener("beforeprint", () => {
    width = PAPER;
    document.querySelectorAll("details").forEach((block) => { block.open = true; });
    redraw();
  });
  addEventListener("afterprint", () => { width = null; redraw(); });
  redraw();
})();
