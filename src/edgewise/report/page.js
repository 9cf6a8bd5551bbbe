(() => {
  "use strict";
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const root = document.documentElement;
  const hidden = new Set();
  let paper = false;
  const ruler = document.body.appendChild(document.createElement("i"));
  ruler.hidden = true;

  // "var(--name)" or "var(--name)/opacity" of the style sheet -> a colour that plotly can read.
  const colour = (text) => {
    const [, name, opacity] = /^(var\(--[a-z0-9-]+\))(?:\/([\d.]+))?$/.exec(text) || [];
    if (!name) return text;
    ruler.style.color = name;
    const resolved = getComputedStyle(ruler).color;
    return opacity ? resolved.replace(/^rgb\((.*)\)$/, `rgba($1, ${opacity})`) : resolved;
  };
  const paint = (value, coloured = false) => {
    if (typeof value === "string") return coloured ? colour(value) : value;
    if (Array.isArray(value)) return value.map((item) => paint(item, coloured));
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([key, item]) =>
      [key, paint(item, /color$|^colorscale$/.test(key))]));
  };
  const axis = (own, narrow) => ({
    automargin: true, zeroline: false, gridcolor: "var(--grid)", linecolor: "var(--line)", tickcolor: "var(--line)",
    ticks: "outside", ticklen: 4, fixedrange: narrow, nticks: narrow ? 5 : 7, ...own,
    title: { ...own.title, standoff: 10, font: { size: 12, color: "var(--muted)" } },
  });
  const layout = (own, narrow) => ({
    ...own, xaxis: axis(own.xaxis, narrow), yaxis: axis(own.yaxis, narrow),
    font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: "var(--ink)" },
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", margin: { l: 8, r: 12, t: 12, b: 8 },
    hoverlabel: { bgcolor: "var(--card)", bordercolor: "var(--line)", font: { color: "var(--ink)" }, namelength: -1 },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: "var(--muted)", activecolor: "var(--ink)" },
    // Paper has one width, which the boxes on the screen do not have yet when they are drawn for it.
    ...(paper ? { autosize: false, width: 620, height: 290 } : { autosize: true }),
  });
  const chosen = () => document.querySelector("input[name=method]:checked")?.value;
  const draw = (box) => {
    const all = figures[box.dataset.figure];
    const figure = "switched" in box.dataset ? all[chosen()] : all;
    box.classList.toggle("none", !figure);
    if (!figure) { Plotly.purge(box); box.textContent = "Not recorded for this method."; return; }
    if (!box.classList.contains("js-plotly-plot")) box.textContent = "";
    const narrow = matchMedia("(max-width: 40rem), (pointer: coarse)").matches;
    const traces = figure.data.map((trace) => ({ ...trace, visible: !hidden.has(trace.legendgroup) }));
    Plotly.react(box, paint(traces), paint(layout(figure.layout, narrow)), {
      displaylogo: false, displayModeBar: narrow ? false : "hover",
      modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
    });
  };
  const boxes = [...document.querySelectorAll("[data-figure]")];
  // Not plotly's own `responsive`, which misses boxes that change without the window.
  const watcher = new ResizeObserver((seen) => seen.forEach(({ target }) => {
    if (!paper && target.classList.contains("js-plotly-plot")) Plotly.Plots.resize(target);
  }));
  boxes.forEach((box) => watcher.observe(box));
  const redraw = (which = () => true) => boxes.filter(which).forEach(draw);

  document.querySelectorAll("[data-method]").forEach((chip) => chip.addEventListener("click", () => {
    const shown = chip.getAttribute("aria-pressed") !== "true";
    chip.setAttribute("aria-pressed", String(shown));
    hidden[shown ? "delete" : "add"](chip.dataset.method);
    redraw((box) => !("switched" in box.dataset));
  }));
  document.querySelectorAll("input[name=method]").forEach((radio) =>
    radio.addEventListener("change", () => redraw((box) => "switched" in box.dataset)));

  const dark = matchMedia("(prefers-color-scheme: dark)");
  const scheme = (name) => { root.style.colorScheme = name; redraw(); };
  document.getElementById("scheme").addEventListener("click", () => {
    const now = root.style.colorScheme || (dark.matches ? "dark" : "light");
    scheme(now === "dark" ? "light" : "dark");
  });
  dark.addEventListener("change", () => redraw());
  let before = "";
  addEventListener("beforeprint", () => {
    paper = true;
    before = root.style.colorScheme;
    document.querySelectorAll("details").forEach((block) => { block.open = true; });
    scheme("light");
  });
  addEventListener("afterprint", () => { paper = false; scheme(before); });
  redraw();
})();
