// Charts as SVG, of the report and of the watch page. Strings become text nodes or attributes, never markup.
const charts = (() => {
  "use strict";
  const SVG = "http://www.w3.org/2000/svg";
  const DASHES = { solid: null, dot: "2 4", dash: "7 4", longdash: "12 4", dashdot: "9 3 2 3" };
  const dashes = (name) => (name in DASHES ? DASHES[name] : name || null);
  const STATES = ["unseen", "hopeless", "edge", "mastered", "forgotten"];
  const LEVELS = 20;   // shades of a heat map
  const CROWD = 6;     // with more lines than this, intervals are fainter

  const fill = (node, attributes, children) => {
    for (const [name, value] of Object.entries(attributes || {})) {
      if (value === null || value === undefined || value === false) continue;
      if (name === "of") node.style.setProperty("--of", value);
      else if (name === "paint") Object.assign(node.style, value);
      else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
      else node.setAttribute(name, value === true ? "" : String(value));
    }
    node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
    return node;
  };
  const h = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
  const s = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

  const known = (x) => x !== null && x !== undefined;
  const number = (x) => (known(x) ? Math.round(x).toLocaleString("en") : "–");
  const percent = (x) => (known(x) ? `${Math.round(x * 100)}%` : "–");
  const rate = (x) => (known(x) ? x.toFixed(2) : "–");
  const exact = (x) => (known(x) ? (Math.abs(x) >= 1000 ? number(x) : String(+x.toPrecision(3))) : "–");
  const short = (x) => (Math.abs(x) >= 1e6 ? `${+(x / 1e6).toFixed(1)}M` : Math.abs(x) >= 1e4 ? `${+(x / 1e3).toFixed(1)}k`
    : String(+x.toPrecision(4)));
  const cut = (text, most) => (text.length <= most ? text : `${text.slice(0, most - 1)}…`);

  // Ticks of an axis at round numbers.
  const ticks = (low, high, count) => {
    const step = (high - low) / Math.max(count, 1) || 1;
    const size = 10 ** Math.floor(Math.log10(step));
    const round = [1, 2, 2.5, 5, 10].map((m) => m * size).find((m) => m >= step) || step;
    const found = [];
    for (let x = Math.ceil(low / round - 1e-9) * round; x <= high + round * 1e-9; x += round) found.push(+x.toPrecision(12));
    return found;
  };

  // A frame with axes; draw(across, up) gives what is inside. `rows` are names instead of numbers on the upward axis.
  const frame = (box, { title, x, y, xs, ys, draw, rows, right = 18, height = 288, width }) => {
    width = width || Math.max(box.clientWidth || 480, 240);
    const most = width < 480 ? 12 : 24;
    const longest = rows ? Math.max(...rows.map((name) => Math.min(name.length, most))) : 0;
    const left = rows ? Math.min(16 + 6.6 * longest, width * 0.34) : 46;
    const top = 28, bottom = 42;
    const inner = [width - left - right, height - top - bottom];
    const across = (v) => left + ((v - xs[0]) / (xs[1] - xs[0] || 1)) * inner[0];
    const up = (v) => top + (1 - (v - ys[0]) / (ys[1] - ys[0] || 1)) * inner[1];
    const stride = rows ? Math.ceil(rows.length / 20) : 1;
    const marks = rows
      ? rows.map((name, i) => (i % stride ? null
        : s("text", { x: left - 7, y: up(rows.length - i - 0.5) + 4, "text-anchor": "end" }, cut(name, most))))
      : ticks(ys[0], ys[1], 4).map((v) => [
        s("line", { x1: left, x2: width - right, y1: up(v), y2: up(v), class: "grid" }),
        s("text", { x: left - 7, y: up(v) + 4, "text-anchor": "end" }, short(v)),
      ]);
    const below = ticks(xs[0], xs[1], Math.min(6, Math.floor(inner[0] / 48))).map((v) => [
      s("line", { x1: across(v), x2: across(v), y1: height - bottom, y2: height - bottom + 4, class: "tick" }),
      s("text", { x: across(v), y: height - bottom + 18, "text-anchor": "middle" }, short(v))]);
    const picture = s("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": title },
      marks, below,
      s("text", { x: left + inner[0] / 2, y: height - 5, "text-anchor": "middle", class: "axis" }, x),
      s("text", { x: 0, y: 12, "text-anchor": "start", class: "axis" }, y),
      draw(across, up, inner, [left, top]));
    box.replaceChildren(picture);
    return { picture, across, up, left, top, inner, width, height };
  };
  const empty = (box, text) => box.replaceChildren(h("p", { class: "empty" }, text));

  const path = (xs, ys, across, up) => {
    let text = "", pen = "M";
    xs.forEach((x, i) => {
      if (!known(ys[i]) || !known(x)) { pen = "M"; return; }
      text += `${pen}${across(x).toFixed(1)} ${up(ys[i]).toFixed(1)}`;
      pen = "L";
    });
    return text;
  };
  const nearest = (xs, x) => xs.reduce((best, v, i) => (Math.abs(v - x) < Math.abs(xs[best] - x) ? i : best), 0);

  // A box that follows the pointer: read(x, y) in pixels gives {place, title, rows: [name, value, colour, dash]} or null.
  const pointed = (box, made, read) => {
    const cursor = s("line", { class: "cursor", y1: made.top, y2: made.top + made.inner[1], visibility: "hidden" });
    made.picture.append(cursor);
    const tip = h("div", { class: "tip", hidden: true });
    box.append(tip);
    const leave = () => { tip.hidden = true; cursor.setAttribute("visibility", "hidden"); };
    made.picture.addEventListener("pointermove", (event) => {
      const bounds = made.picture.getBoundingClientRect();
      const scale = made.width / bounds.width;
      const found = read((event.clientX - bounds.left) * scale, (event.clientY - bounds.top) * scale);
      if (!found) { leave(); return; }
      cursor.setAttribute("x1", found.place); cursor.setAttribute("x2", found.place); cursor.setAttribute("visibility", "visible");
      tip.replaceChildren(h("b", null, found.title), ...found.rows.map(([name, value, of, dash]) =>
        h("div", null, of ? h("i", { class: `swatch ${dash in DASHES ? dash : dash ? "dash" : ""}`, of }) : null, `${name} `, h("span", null, value))));
      tip.hidden = false;
      tip.style.left = `${Math.min(Math.max(found.place / scale - 60, 0), Math.max(bounds.width - tip.offsetWidth - 4, 0))}px`;
    });
    made.picture.addEventListener("pointerleave", leave);
  };

  // Lines with intervals, single seeds, levels and marks.
  const lines = (box, { title, x = "training step", y, series, limits, levels = [], marks = [], show = exact, width }) => {
    const shown = series.filter((line) => line.x.length && line.y.some(known));
    if (!shown.length) { empty(box, "Not recorded yet."); return; }
    const xs = shown.flatMap((line) => line.x);
    let range = limits;
    if (!range) {
      const values = shown.flatMap((line) => [...line.y, ...(line.low || []), ...(line.high || []), ...(line.seeds || []).flatMap((seed) => seed[1])])
        .concat(levels.map((level) => level.y)).filter(known);
      const low = Math.min(...values), high = Math.max(...values);
      range = low >= 0 && low < 0.5 * high ? [0, high * 1.05 || 1] : [low - 0.05 * (high - low || 1), high + 0.05 * (high - low || 1)];
    }
    const made = frame(box, { title, x, y, width, xs: [Math.min(...xs), Math.max(...xs)], ys: range,
      draw: (across, up, inner, [left]) => [
        levels.map((level) => s("line", { x1: left, x2: left + inner[0], y1: up(level.y), y2: up(level.y), class: "perfect" })),
        shown.map((line) => (line.seeds || []).map(([own, values]) =>
          s("path", { d: path(own, values, across, up), class: "line seed", paint: { stroke: line.of } }))),
        shown.map((line) => {
          const sure = (line.low || []).map((low, i) => (known(low) ? i : -1)).filter((i) => i >= 0);
          const at = (values) => (i) => `${across(line.x[i]).toFixed(1)} ${up(values[i]).toFixed(1)}`;
          return sure.length < 2 ? null : s("path", { class: shown.length > CROWD ? "band faint" : "band", paint: { fill: line.of },
            d: `M${sure.map(at(line.high)).join("L")}L${sure.reverse().map(at(line.low)).join("L")}Z` });
        }),
        shown.map((line) => s("path", { d: path(line.x, line.y, across, up), class: "line", paint: { stroke: line.of },
          "stroke-dasharray": dashes(line.dash), "stroke-width": line.thin ? 1.4 : 2.2 })),
        marks.map((mark) => s("path", { class: "mark", paint: { fill: mark.of },
          d: `M${across(mark.x).toFixed(1)} ${(up(mark.y) - 7).toFixed(1)}l7 7l-7 7l-7-7Z` },
          s("title", null, `${mark.name}: target reached at ${number(mark.x)}`))),
        levels.filter((level) => level.text).map((level) => s("text", { class: "level", x: left + inner[0] - 4,
          y: up(level.y) + (up(level.y) + 18 < up(range[0]) ? 15 : -5), "text-anchor": "end" }, level.text)),
      ] });
    const longest = shown.reduce((a, b) => (b.x.length > a.x.length ? b : a));
    pointed(box, made, (place) => {
      const i = nearest(longest.x.map(made.across), place);
      return { place: made.across(longest.x[i]), title: `${x.replace("training ", "").replace(/ \(.*/, "")} ${number(longest.x[i])}`,
        rows: shown.map((line) => {
          const j = nearest(line.x, longest.x[i]);
          const between = line.low && known(line.low[j]) ? ` (${show(line.low[j])} to ${show(line.high[j])})` : "";
          return [line.name, show(line.y[j]) + between, line.of, line.dash];
        }) };
    });
  };

  // How many prompts are in each state over the run: {step, counts: {state: [...]}}.
  const stacked = (box, pool, width) => {
    const high = Math.max(...pool.step.map((_, i) => STATES.reduce((sum, name) => sum + pool.counts[name][i], 0)), 1);
    const xs = pool.step.length > 1 ? pool.step : [pool.step[0], pool.step[0] + 1];
    const column = (name, i) => pool.counts[name][Math.min(i, pool.step.length - 1)];
    const made = frame(box, { title: "Pool over time", x: "training step", y: "prompts", xs: [xs[0], xs.at(-1)], ys: [0, high], width,
      draw: (across, up) => {
        const floor = xs.map(() => 0);
        // From the bottom: what is learned, what is being learned, what is not.
        return ["mastered", "edge", "forgotten", "hopeless", "unseen"].map((name) => {
          const low = [...floor];
          xs.forEach((_, i) => { floor[i] += column(name, i); });
          const edge = xs.map((x, i) => `${across(x).toFixed(1)} ${up(floor[i]).toFixed(1)}`);
          const back = xs.map((x, i) => `${across(x).toFixed(1)} ${up(low[i]).toFixed(1)}`).reverse();
          return s("path", { d: `M${edge.join("L")}L${back.join("L")}Z`, class: `area ${name}` });
        });
      } });
    pointed(box, made, (place) => {
      const i = nearest(xs.map(made.across), place);
      return { place: made.across(xs[i]), title: `step ${number(xs[i])}`,
        rows: STATES.map((name) => [name, number(column(name, i)), `var(--state-${name})`]) };
    });
  };
  const states = (pool) => h("p", { class: "legend" }, STATES.map((name) => h("span", null, h("i", { class: `block ${name}` }), `${name} `,
    h("b", null, number(pool ? pool.counts[name].at(-1) : 0)))));

  // Predicted against observed: entries {predicted, observed, rollouts, of, dash, name}.
  const reliability = (box, entries, width) => {
    if (!entries.length) { empty(box, "The log holds no predictions."); return; }
    frame(box, { title: "Calibration", x: "predicted success rate", y: "observed success rate", xs: [0, 1], ys: [0, 1], width,
      draw: (across, up) => [
        s("line", { x1: across(0), y1: up(0), x2: across(1), y2: up(1), class: "perfect" }),
        entries.map((entry) => {
          const most = Math.max(...entry.rollouts);
          return [
            s("path", { d: path(entry.predicted, entry.observed, across, up), class: "line", paint: { stroke: entry.of },
              "stroke-dasharray": dashes(entry.dash), "stroke-width": 1.6 }),
            entry.predicted.map((x, j) => s("circle", { cx: across(x).toFixed(1), cy: up(entry.observed[j]).toFixed(1), paint: { fill: entry.of },
              r: (2.5 + 5 * Math.sqrt(entry.rollouts[j] / most)).toFixed(1) },
              s("title", null, `${entry.name}: predicted ${rate(x)}, observed ${rate(entry.observed[j])}, ${number(entry.rollouts[j])} rollouts`))),
          ];
        }),
      ] });
  };

  // The shade of a value in [0, 1], as the style sheet has it for light and dark.
  const shade = (level) => {
    const place = (level / LEVELS) * 5, i = Math.min(Math.floor(place), 4);
    return `color-mix(in srgb, var(--heat-${i + 1}) ${Math.round((place - i) * 100)}%, var(--heat-${i}))`;
  };
  // Values (rows, columns) over steps. Columns reach half way to their neighbours. `rows`: names from above; null: [0, 1] in equal parts from below.
  const heat = (box, { title, y, x, z, rows, top, what, lines: over = [], percents, width }) => {
    const half = x.map((v, i) => (i ? (v + x[i - 1]) / 2 : v - ((x[1] ?? v + 1) - v) / 2));
    const edges = [...half, x.at(-1) + (x.at(-1) - half.at(-1) || 0.5)];
    const count = z.length, show = percents ? (v) => (known(v) ? `${(v * 100).toFixed(1)}%` : "–") : rate;
    const high = rows ? count : 1, size = high / count;
    const low = (i) => (rows ? count - 1 - i : i * size);   // lower edge of row i
    const made = frame(box, { title, x: "training step", y, xs: [edges[0], edges.at(-1)], ys: [0, high], rows, right: 62, width,
      height: rows && rows.length > 16 ? 340 : 288,
      draw: (across, up, inner, [left, above]) => {
        const paths = Array(LEVELS + 1).fill("");
        z.forEach((values, i) => values.forEach((value, j) => {
          if (!known(value)) return;
          const level = Math.round(Math.min(value / (top || 1), 1) * LEVELS);
          const [x0, x1, y0] = [across(edges[j]), across(edges[j + 1]), up(low(i) + size)];
          paths[level] += `M${x0.toFixed(1)} ${y0.toFixed(1)}H${x1.toFixed(1)}V${up(low(i)).toFixed(1)}H${x0.toFixed(1)}Z`;
        }));
        const bar = left + inner[0] + 12, step = inner[1] / LEVELS;
        return [
          paths.map((d, level) => d && s("path", { d, class: "cell", paint: { fill: shade(level) } })),
          Array.from({ length: LEVELS }, (_, i) => s("rect", { x: bar, y: (above + inner[1] - (i + 1) * step).toFixed(1), width: 10,
            height: (step + 0.4).toFixed(1), class: "cell", paint: { fill: shade(i + 1) } })),
          s("text", { x: bar + 14, y: above + 9 }, percents ? percent(top) : short(top)),
          s("text", { x: bar + 14, y: above + inner[1] }, "0"),
          s("text", { x: left + inner[0] + 60, y: 12, "text-anchor": "end", class: "axis" }, what),
          over.map((line) => [
            s("path", { d: path(line.x, line.y, across, up), class: "line halo", "stroke-width": 4.5 }),
            s("path", { d: path(line.x, line.y, across, up), class: "line over", "stroke-dasharray": dashes(line.dash), "stroke-width": 2 })]),
        ];
      } });
    pointed(box, made, (place, height) => {
      if (place < made.left || place > made.left + made.inner[0] || height < made.top || height > made.top + made.inner[1]) return null;
      const j = nearest(x.map(made.across), place);
      const i = z.findIndex((_, k) => height >= made.up(low(k) + size) && height <= made.up(low(k)));
      if (i < 0) return null;
      const name = rows ? rows[i] : `${rate(i * size)} to ${rate((i + 1) * size)}`;
      return { place: made.across(x[j]), title: `step ${number(x[j])}`, rows: [[cut(name, 40), show(z[i][j])],
        ...over.map((line) => [line.name, rate(line.y[nearest(line.x, x[j])])])] };
    });
  };

  const trend = (values, of, top) => {
    const width = 120, height = 26;
    const high = top || Math.max(...values.filter(known), 1e-9);
    const across = (i) => 2 + (i / Math.max(values.length - 1, 1)) * (width - 4);
    const up = (v) => height - 3 - (v / high) * (height - 6);
    return s("svg", { viewBox: `0 0 ${width} ${height}`, width, height, class: "trend", "aria-hidden": "true" },
      s("line", { x1: 0, x2: width, y1: height - 2.5, y2: height - 2.5, class: "grid" }),
      s("path", { d: path(values.map((_, i) => i), values, across, up), class: "line", paint: { stroke: of }, "stroke-width": 1.8 }));
  };

  // Light or dark by the button, otherwise as the system has it.
  const scheme = () => document.getElementById("scheme").addEventListener("click", () => {
    const root = document.documentElement;
    const now = root.style.colorScheme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
    root.style.colorScheme = now === "dark" ? "light" : "dark";
  });

  return { STATES, h, s, number, percent, rate, short, lines, stacked, states, reliability, heat, trend, scheme, empty };
})();
