(() => {
  "use strict";
  const data = JSON.parse(document.getElementById("data").textContent);
  const SVG = "http://www.w3.org/2000/svg";
  const STATES = ["unseen", "hopeless", "edge", "mastered", "forgotten"];
  const hidden = new Set();
  let chosen = 0;      // run that is shown in detail
  let query = "";
  let open = null;     // {run, row} of the prompt that is shown
  let answered = null; // what a search or a prompt brought, kept over updates

  // Elements: strings become text, never markup.
  const fill = (node, attributes, children) => {
    for (const [name, value] of Object.entries(attributes || {})) {
      if (value === null || value === undefined || value === false) continue;
      if (name === "of") node.style.setProperty("--of", value);
      else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
      else node.setAttribute(name, value === true ? "" : String(value));
    }
    node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
    return node;
  };
  const h = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
  const s = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

  const number = (x) => (x === null || x === undefined ? "–" : Math.round(x).toLocaleString("en"));
  const percent = (x) => (x === null || x === undefined ? "–" : `${Math.round(x * 100)}%`);
  const rate = (x) => (x === null || x === undefined ? "–" : x.toFixed(2));
  const span = (i, show) => (!i || i.estimate === null ? "–" : i.low === null ? show(i.estimate)
    : `${show(i.estimate)}`);
  const between = (i, show) => (!i || i.low === null || i.low === undefined ? "" : `${show(i.low)} to ${show(i.high)}`);
  const ago = (x) => (x >= 86400 ? `${Math.round(x / 86400)} d` : x >= 3600 ? `${Math.round(x / 3600)} h`
    : x >= 60 ? `${Math.round(x / 60)} min` : `${Math.round(x)} s`);
  // Methods keep the colours that they have in reports, where a run is named after one and no other run is.
  const COLOURS = ["edge", "mopps", "ds", "other-0", "other-2", "other-1", "other-3", "other-4"];
  const colour = (i) => {
    const method = (j) => data.runs[j].name.split(/[/:_-]/)[0];
    const own = ["uniform", "ds", "mopps", "edge"].includes(method(i));
    if (own && data.runs.filter((_, j) => method(j) === method(i)).length === 1) return `var(--${method(i)})`;
    const taken = data.runs.map((_, j) => method(j));
    const free = data.runs.length > 8 ? COLOURS : COLOURS.filter((name) => !taken.includes(name));
    return `var(--${free[i % free.length]})`;
  };
  const dash = (i) => ["", "7 3", "2 3", "8 3 2 3"][Math.floor(i / 8) % 4];
  const last = (values) => (values || []).filter((x) => x !== null).at(-1) ?? null;

  // Ticks of an axis at round numbers.
  const ticks = (low, high, count) => {
    const step = (high - low) / Math.max(count, 1) || 1;
    const size = 10 ** Math.floor(Math.log10(step));
    const round = [1, 2, 2.5, 5, 10].map((m) => m * size).find((m) => m >= step) || step;
    const found = [];
    for (let x = Math.ceil(low / round) * round; x <= high + round * 1e-9; x += round) found.push(+x.toPrecision(12));
    return found;
  };
  const short = (x) => (Math.abs(x) >= 1e6 ? `${+(x / 1e6).toFixed(1)}M` : Math.abs(x) >= 1e4 ? `${+(x / 1e3).toFixed(1)}k`
    : String(+x.toFixed(4)));

  // A frame with axes; draw(across, up, width, height) gives what is inside.
  const frame = (box, { title, x, y, xs, ys, draw, label }) => {
    const width = Math.max(box.clientWidth || 480, 240), height = 268;
    const left = 46, right = 18, top = 28, bottom = 40;
    const inner = [width - left - right, height - top - bottom];
    const across = (v) => left + ((v - xs[0]) / (xs[1] - xs[0] || 1)) * inner[0];
    const up = (v) => top + (1 - (v - ys[0]) / (ys[1] - ys[0] || 1)) * inner[1];
    const marks = ticks(ys[0], ys[1], 4).map((v) => [
      s("line", { x1: left, x2: width - right, y1: up(v), y2: up(v), class: "grid" }),
      s("text", { x: left - 7, y: up(v) + 4, "text-anchor": "end" }, short(v)),
    ]);
    const below = ticks(xs[0], xs[1], Math.min(6, Math.floor(inner[0] / 70))).map((v) =>
      s("text", { x: across(v), y: height - bottom + 17, "text-anchor": "middle" }, short(v)));
    const picture = s("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": label || title },
      marks, below,
      s("text", { x: left + inner[0] / 2, y: height - 5, "text-anchor": "middle", class: "axis" }, x),
      s("text", { x: 0, y: 12, "text-anchor": "start", class: "axis" }, y),
      draw(across, up, inner, [left, top]));
    box.replaceChildren(picture);
    return { picture, across, up, left, top, inner, width, height };
  };

  const path = (xs, ys, across, up) => {
    let text = "", pen = "M";
    xs.forEach((x, i) => {
      if (ys[i] === null || ys[i] === undefined) { pen = "M"; return; }
      text += `${pen}${across(x).toFixed(1)} ${up(ys[i]).toFixed(1)}`;
      pen = "L";
    });
    return text;
  };

  // Names and values under the pointer.
  const pointed = (box, made, xs, lines) => {
    const cursor = s("line", { class: "cursor", y1: made.top, y2: made.top + made.inner[1], visibility: "hidden" });
    made.picture.append(cursor);
    const tip = h("div", { class: "tip", hidden: true });
    box.append(tip);
    const move = (event) => {
      const bounds = made.picture.getBoundingClientRect();
      const at = ((event.clientX - bounds.left) / bounds.width) * made.width;
      let best = 0;
      xs.forEach((x, i) => { if (Math.abs(made.across(x) - at) < Math.abs(made.across(xs[best]) - at)) best = i; });
      const place = made.across(xs[best]);
      cursor.setAttribute("x1", place); cursor.setAttribute("x2", place); cursor.setAttribute("visibility", "visible");
      tip.replaceChildren(h("b", null, `step ${number(xs[best])}`), ...lines(best).map(([name, value, of]) =>
        h("div", null, h("i", { class: "swatch", of }), `${name} `, h("span", null, value))));
      tip.hidden = false;
      tip.style.left = `${Math.min(Math.max(place - 60, 0), made.width - 170)}px`;
    };
    made.picture.addEventListener("pointermove", move);
    made.picture.addEventListener("pointerleave", () => { tip.hidden = true; cursor.setAttribute("visibility", "hidden"); });
  };

  const lines = (box, { title, y, series, limits }) => {
    const shown = series.filter((line) => line.x.length && line.y.some((v) => v !== null));
    if (!shown.length) { box.replaceChildren(h("p", { class: "empty" }, "Not recorded yet.")); return; }
    const xs = shown.flatMap((line) => line.x), values = shown.flatMap((line) => line.y.filter((v) => v !== null));
    const range = limits || [0, Math.max(...values) * 1.05 || 1];
    const made = frame(box, { title, x: "training step", y, xs: [Math.min(...xs), Math.max(...xs)], ys: range,
      draw: (across, up) => shown.map((line) => s("path", { d: path(line.x, line.y, across, up), class: "line",
        stroke: line.of, "stroke-dasharray": line.dash || null, "stroke-width": line.thin ? 1.4 : 2.2 })) });
    const longest = shown.reduce((a, b) => (b.x.length > a.x.length ? b : a));
    pointed(box, made, longest.x, (i) => shown.map((line) => {
      let near = 0;
      line.x.forEach((x, j) => { if (Math.abs(x - longest.x[i]) < Math.abs(line.x[near] - longest.x[i])) near = j; });
      const value = line.y[near];
      return [line.name, value === null ? "–" : limits ? percent(value) : number(value), line.of];
    }));
  };

  const stacked = (box, pool) => {
    const totals = pool.step.map((_, i) => STATES.reduce((sum, name) => sum + pool.counts[name][i], 0));
    const high = Math.max(...totals, 1);
    const xs = pool.step.length > 1 ? pool.step : [pool.step[0], pool.step[0] + 1];
    const column = (name, i) => pool.counts[name][Math.min(i, pool.step.length - 1)];
    const made = frame(box, { title: "Pool over time", x: "training step", y: "prompts", xs: [xs[0], xs.at(-1)], ys: [0, high],
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
    pointed(box, made, xs, (i) => STATES.map((name) => [name, number(column(name, i)), `var(--state-${name})`]));
  };

  const reliability = (box, runs) => {
    const drawn = runs.flatMap(({ run, i }) => Object.entries(run.calibration || {}).map(([kind, entry]) =>
      ({ kind, entry, of: colour(i), name: run.name })));
    if (!drawn.length) { box.replaceChildren(h("p", { class: "empty" }, "The log holds no predictions.")); return; }
    frame(box, { title: "Calibration", x: "predicted success rate", y: "observed success rate", xs: [0, 1], ys: [0, 1],
      draw: (across, up) => [
        s("line", { x1: across(0), y1: up(0), x2: across(1), y2: up(1), class: "perfect" }),
        drawn.map(({ kind, entry, of, name }) => {
          const most = Math.max(...entry.rollouts);
          return [
            s("path", { d: path(entry.predicted, entry.observed, across, up), class: "line", stroke: of,
              "stroke-dasharray": kind === "random" ? "5 4" : null, "stroke-width": 1.6 }),
            entry.predicted.map((x, j) => s("circle", { cx: across(x), cy: up(entry.observed[j]), fill: of,
              r: 2.5 + 5 * Math.sqrt(entry.rollouts[j] / most) },
              s("title", null, `${name}, ${kind}: predicted ${rate(x)}, observed ${rate(entry.observed[j])}, ${number(entry.rollouts[j])} rollouts`))),
          ];
        }),
      ] });
  };

  const trend = (values, of, top) => {
    const width = 120, height = 26;
    const high = top || Math.max(...values.filter((x) => x !== null), 1e-9);
    const across = (i) => 2 + (i / Math.max(values.length - 1, 1)) * (width - 4);
    const up = (v) => height - 3 - (v / high) * (height - 6);
    return s("svg", { viewBox: `0 0 ${width} ${height}`, width, height, class: "trend", "aria-hidden": "true" },
      s("line", { x1: 0, x2: width, y1: height - 2.5, y2: height - 2.5, class: "grid" }),
      s("path", { d: path(values.map((_, i) => i), values, across, up), class: "line", stroke: of, "stroke-width": 1.8 }));
  };

  const runs = () => data.runs.map((run, i) => ({ run, i })).filter(({ i }) => !hidden.has(i));
  const section = (id, title, about, ...children) =>
    h("section", { id }, h("h2", null, title), about ? h("p", { class: "about" }, about) : null, children);
  const figure = (id, title, about, legend) => h("figure", null,
    h("figcaption", null, h("h3", null, title), about ? h("p", { class: "muted" }, about) : null), legend || null,
    h("div", { class: "picture", id }));
  const swatch = (of, style) => h("i", { class: `swatch${style || ""}`, of, "aria-hidden": "true" });

  const tiles = (run) => {
    const c = run.comparison || {};
    const items = [
      ["Rollouts", number(run.rollouts), run.rollouts_per_group ? `groups of ${run.rollouts_per_group}` : ""],
      ["Groups with a gradient", span(c.effective, percent), between(c.effective, percent)],
      ["At random", span(c.uniform, percent), c.uniform ? `${between(c.uniform, percent)}, ${c.random_groups ? `${number(c.random_groups)} groups` : "fixed sample"}` : "no random share"],
      ["Rollouts saved", c.saved_rollouts ? number(c.saved_rollouts.estimate) : "–", c.saved_rollouts ? between(c.saved_rollouts, number) : ""],
      ["Taught nothing", c.wasted_rollouts === undefined ? "–" : percent(c.wasted_rollouts / run.rollouts), `${number(c.wasted_rollouts)} rollouts`],
      ["Success rate now", percent(last((run.curves || {}).success)), ""],
    ];
    return h("dl", { class: "tiles" }, items.map(([name, value, note]) =>
      h("div", null, h("dt", null, name), h("dd", null, value), h("dd", { class: "muted" }, note))));
  };

  const facts = (run) => [run.source, run.steps ? `steps ${number(run.steps[0])} to ${number(run.steps[1])}` : null,
    run.prompts ? (run.pool_size && run.pool_size !== run.prompts ? `${number(run.prompts)} of ${number(run.pool_size)} prompts seen`
      : `${number(run.prompts)} prompts`) : null,
    run.idle === null ? null : run.idle < 600 ? `last written ${ago(run.idle)} ago` : `nothing written for ${ago(run.idle)}`,
  ].filter(Boolean).join(" · ");

  const opening = (run, i) => h("header", null,
    h("h1", null, run.name),
    h("p", { class: "muted" }, facts(run)),
    h("p", { class: `headline ${run.headline.kind}` }, run.headline.text),
    tiles(run),
    run.findings.length ? h("ul", { class: "findings" }, run.findings.map((entry) =>
      h("li", { class: entry.level }, h("strong", null, entry.level === "alarm" ? "▲ Alarm" : "● Hint"), " ", entry.text))) : null,
    run.notes.length ? h("ul", { class: "notes" }, run.notes.map((note) => h("li", null, note))) : null);

  const overview = () => h("div", { class: "scroll" }, h("table", null,
    h("thead", null, h("tr", null, ["run", "step", "rollouts", "with a gradient", "at random", "rollouts saved", "success", "alarms"].map((x) =>
      h("th", { scope: "col" }, x)))),
    h("tbody", null, data.runs.map((run, i) => {
      const c = run.comparison || {};
      return h("tr", { class: i === chosen ? "chosen" : null }, h("th", { scope: "row" }, h("button", { type: "button", class: "link",
        onclick: () => { chosen = i; open = null; answered = null; render(); } }, swatch(colour(i)), run.name)),
        [run.steps ? number(run.steps[1]) : "–", number(run.rollouts), span(c.effective, percent), span(c.uniform, percent),
          c.saved_rollouts ? number(c.saved_rollouts.estimate) : "–", rate(last((run.curves || {}).success)),
          String(run.findings.filter((entry) => entry.level === "alarm").length)].map((x) => h("td", null, x)));
    }))));

  const categories = (run) => section("categories", "Categories", "Of the last 2,048 groups; the small lines go over the whole run.",
    h("div", { class: "scroll" }, h("table", { class: "numbers" },
      h("thead", null, h("tr", null, ["category", "prompts", "share of pool", "share of picks", "predicted", "observed", "with a gradient",
        "observed over steps", "picks over steps"].map((x) => h("th", { scope: "col" }, x)))),
      h("tbody", null, run.categories.map((entry) => h("tr", null, h("th", { scope: "row" }, entry.name.slice(0, 60)),
        [number(entry.prompts), percent(entry.pool_share), percent(entry.picks_share), rate(entry.predicted), rate(entry.observed),
          percent(entry.effective)].map((x) => h("td", null, x)),
        h("td", null, trend(entry.observed_trend, "var(--mopps)", 1)), h("td", null, trend(entry.picks_trend, "var(--edge)"))))))));

  const dots = (entry) => h("div", { class: "dots" }, entry.groups.map(([step, successes, trials, predicted]) =>
    h("div", { class: "group", title: `step ${step}: ${successes} of ${trials} correct${predicted === null ? "" : `, predicted ${rate(predicted)}`}` },
      Array.from({ length: Math.min(trials, 16) }, (_, i) => h("i", { class: i < (successes / trials) * Math.min(trials, 16) ? "right" : "wrong" })),
      h("small", null, number(step)))));

  const detail = (entry) => h("article", { class: "prompt-detail" },
    h("h3", null, "Prompt ", h("code", null, entry.id)),
    h("p", { class: "muted" }, [entry.state, entry.category, `${entry.groups_count} groups`].filter(Boolean).join(" · ")),
    h("p", { class: "muted" }, "Each column is one group, oldest first: filled for correct rollouts."),
    dots(entry),
    entry.completions.length ? entry.completions.map((group) => h("details", { open: group === entry.completions[0] },
      h("summary", null, `Step ${number(group.step)}: ${group.successes} of ${group.trials} correct`),
      group.rollouts.length ? h("pre", { class: "prompt" }, group.rollouts[0].prompt) : null,
      h("div", { class: "samples" }, group.rollouts.map((rollout) => h("article", null,
        h("header", null, h("strong", { class: rollout.reward > 0 ? "good" : "bad" }, `reward ${rollout.reward === null ? "–" : +rollout.reward.toFixed(4)}`)),
        h("pre", null, rollout.completion))))))
      : h("p", { class: "muted" }, "The log holds no completions of this prompt."));

  const results = (found) => (found.length ? h("div", { class: "scroll" }, h("table", { class: "numbers" },
    h("thead", null, h("tr", null, ["prompt", "category", "state", "groups", "last step", "success rate by group"].map((x) => h("th", { scope: "col" }, x)))),
    h("tbody", null, found.map((entry) => h("tr", null,
      h("th", { scope: "row" }, h("button", { type: "button", class: "link", onclick: () => show(entry.row) }, entry.id.slice(0, 48))),
      [(entry.category || "–").slice(0, 40), entry.state, number(entry.groups_count), number(entry.last_step)].map((x) => h("td", null, x)),
      h("td", null, trend(entry.rates, "var(--mopps)", 1)))))))
    : h("p", { class: "empty" }, "No prompt matches."));

  const get = async (address) => {
    const answer = await fetch(address, { credentials: "same-origin" });
    if (!answer.ok) throw new Error(`${answer.status}`);
    return answer.json();
  };
  const put = (node) => document.getElementById("found")?.replaceChildren(node);
  const failed = () => put(h("p", { class: "empty" }, "No answer: is `edgewise watch` still running?"));
  const embedded = () => (data.prompts || {})[String(chosen)] || [];

  const find = async () => {
    open = null;
    const text = query.trim().toLowerCase();
    try {
      answered = data.live ? results((await get(`search?run=${chosen}&q=${encodeURIComponent(query)}`)).found)
        : results(embedded().filter((entry) => !text || entry.id.toLowerCase().includes(text)
          || (entry.category || "").toLowerCase().includes(text)).slice(0, 50));
      put(answered);
    } catch (error) { failed(); }
  };
  const show = async (row) => {
    open = { run: chosen, row };
    try {
      const entry = data.live ? await get(`prompt?run=${chosen}&row=${row}`) : embedded().find((item) => item.row === row);
      answered = [h("button", { type: "button", class: "back", onclick: find }, "← all prompts"), detail(entry)];
      document.getElementById("found")?.replaceChildren(...answered);
    } catch (error) { failed(); }
  };

  const prompts = (run) => {
    if (!run.prompts) return null;
    const field = h("input", { type: "search", id: "query", placeholder: "id or category", "aria-label": "Search prompts", value: query,
      oninput: (event) => { query = event.target.value; clearTimeout(find.timer); find.timer = setTimeout(find, 150); } });
    const about = data.live ? "Those rolled out last come first." : `This file holds ${number(embedded().length)} of ${number(run.prompts)} prompts, those rolled out last.`;
    return section("prompts", "Prompts", about, h("p", null, field), h("div", { id: "found" }, answered || null));
  };

  const render = () => {
    const run = data.runs[chosen];
    const main = document.querySelector("main");
    const focus = document.activeElement?.id === "query" ? document.activeElement.selectionStart : null;
    const several = data.runs.length > 1;
    const numbers = (run.curves || {}).numbers || {};
    const legend = h("p", { class: "legend" }, STATES.map((name) => {
      const count = run.pool ? run.pool.counts[name].at(-1) : 0;
      return h("span", null, h("i", { class: `block ${name}` }), `${name} `, h("b", null, number(count)));
    }));
    main.replaceChildren(...[
      several ? section("runs", "Runs", "The chosen run is shown below; the charts of groups and predictions overlay all runs.", overview()) : null,
      opening(run, chosen),
      run.pool ? section("pool", "Pool over time", null, figure("pool-chart", "Prompts by the outcome of their last group",
        "Hopeless: all wrong, never a success. Edge: mixed. Mastered: all right. Forgotten: all wrong after an earlier success."
        + (run.pool.whole ? "" : " Unseen: not yet in this log, of the prompts that ever come in it."), legend)) : null,
      run.groups ? section("groups", "Groups", null, h("div", { class: "pair" },
        figure("effective-chart", "Groups with a gradient", several ? "A line a run; dashed: prompts drawn at random." : "Solid: selected prompts. Dashed: prompts drawn at random."),
        figure("success-chart", "Success rate of rolled-out prompts", "Near 50% is the edge."),
        data.runs.some((r) => (r.curves || {}).length) ? figure("length-chart", `Completion length`, `${run.unit || "tokens"}, mean of a rollout`) : null,
        data.runs.some((r) => (r.curves || {}).truncated) ? figure("truncated-chart", "Completions cut at the length limit", null) : null)) : null,
      Object.keys(numbers).length ? section("numbers", "Written by the run", null, h("div", { class: "pair" },
        Object.keys(numbers).map((name) => figure(`number-${name}`, name.replaceAll("_", " "), null)))) : null,
      run.categories.length ? categories(run) : null,
      run.calibration ? section("predictions", "Predictions", "Made before the rollouts. On the diagonal they hold; a circle's area is its share of the rollouts.",
        h("div", { class: "pair" }, figure("calibration-chart", "Predicted against observed success rate", "Solid: selected prompts. Dashed: prompts drawn at random."),
          h("dl", { class: "tiles" }, Object.entries(run.calibration).map(([kind, entry]) => [
            h("div", null, h("dt", null, `Mean error, ${kind}`), h("dd", null, entry.error.toFixed(3)), h("dd", { class: "muted" }, `${number(entry.groups)} groups`)),
            h("div", null, h("dt", null, `Rank correlation, ${kind}`), h("dd", null, entry.spearman === null ? "–" : entry.spearman.toFixed(2)), h("dd", { class: "muted" }, "Spearman")),
          ])))) : null,
      prompts(run),
    ].filter(Boolean));
    draw();
    if (run.prompts && !answered) find();
    if (focus !== null) { const field = document.getElementById("query"); field?.focus(); field?.setSelectionRange(focus, focus); }
  };

  const draw = () => {
    const run = data.runs[chosen];
    const box = (id) => document.getElementById(id);
    if (box("pool-chart")) stacked(box("pool-chart"), run.pool);
    const series = (key, more) => runs().flatMap(({ run: r, i }) => {
      const curves = r.curves || {};
      const all = curves[key] ? [{ x: curves.step, y: curves[key], of: colour(i), dash: dash(i), name: data.runs.length > 1 ? r.name : "selected" }] : [];
      if (more && curves[more]) all.push({ x: curves.random_step, y: curves[more], of: data.runs.length > 1 ? colour(i) : "var(--uniform)", dash: "5 4", thin: true, name: data.runs.length > 1 ? `${r.name}, at random` : "at random" });
      return all;
    });
    if (box("effective-chart")) lines(box("effective-chart"), { title: "Groups with a gradient", y: "share of groups", limits: [0, 1], series: series("effective", "random_effective") });
    if (box("success-chart")) lines(box("success-chart"), { title: "Success rate", y: "success rate", limits: [0, 1], series: series("success") });
    if (box("length-chart")) lines(box("length-chart"), { title: "Completion length", y: run.unit || "tokens", series: series("length") });
    if (box("truncated-chart")) lines(box("truncated-chart"), { title: "Truncated completions", y: "share of rollouts", limits: [0, 1], series: series("truncated") });
    for (const name of Object.keys((run.curves || {}).numbers || {})) {
      if (box(`number-${name}`)) lines(box(`number-${name}`), { title: name, y: name.replaceAll("_", " "),
        limits: /ratio|accuracy/.test(name) ? [0, 1] : null,
        series: runs().filter(({ run: r }) => ((r.curves || {}).numbers || {})[name]).map(({ run: r, i }) => ({
          x: r.curves.numbers[name].step, y: r.curves.numbers[name].value, of: colour(i), dash: dash(i), name: r.name })) });
    }
    if (box("calibration-chart")) reliability(box("calibration-chart"), runs());
  };

  const chips = () => document.querySelector(".chips").replaceChildren(...(data.runs.length > 1 ? data.runs.map((run, i) =>
    h("button", { type: "button", class: "chip", "aria-pressed": String(!hidden.has(i)), onclick: (event) => {
      hidden[hidden.has(i) ? "delete" : "add"](i);
      event.currentTarget.setAttribute("aria-pressed", String(!hidden.has(i)));
      draw();
    } }, swatch(colour(i)), run.name)) : []));

  const dark = matchMedia("(prefers-color-scheme: dark)");
  document.getElementById("scheme").addEventListener("click", () => {
    const root = document.documentElement;
    const now = root.style.colorScheme || (dark.matches ? "dark" : "light");
    root.style.colorScheme = now === "dark" ? "light" : "dark";
  });
  let width = innerWidth;
  addEventListener("resize", () => { if (innerWidth !== width) { width = innerWidth; clearTimeout(draw.timer); draw.timer = setTimeout(draw, 120); } });
  addEventListener("beforeprint", draw);

  const update = async () => {
    const state = document.getElementById("state");
    try {
      const fresh = await get(`data?since=${data.version}`);
      if (fresh.version !== data.version) {
        Object.assign(data, fresh);
        chosen = Math.min(chosen, data.runs.length - 1);
        chips();
        render();
      }
      state.textContent = "live";
      state.className = "live";
    } catch (error) { state.textContent = "not connected"; state.className = "lost"; }
    setTimeout(update, data.every * 1000);
  };
  chips();
  render();
  if (data.live) setTimeout(update, data.every * 1000);
})();
