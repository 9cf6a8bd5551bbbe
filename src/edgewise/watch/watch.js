(() => {
  "use strict";
  const data = JSON.parse(document.getElementById("data").textContent);
  const hidden = new Set();
  let chosen = 0;      // run that is shown in detail
  let query = "";
  let open = null;     // {run, row} of the prompt that is shown
  let answered = null; // what a search or a prompt brought, kept over updates

  const { h, number, percent, rate, trend } = charts;
  const span = (i, show) => (!i || i.estimate === null ? "–" : i.low === null ? show(i.estimate)
    : `${show(i.estimate)}`);
  const between = (i, show) => (!i || i.low === null || i.low === undefined ? "" : `${show(i.low)} to ${show(i.high)}`);
  const ago = (x) => (x >= 86400 ? `${Math.round(x / 86400)} d` : x >= 3600 ? `${Math.round(x / 3600)} h`
    : x >= 60 ? `${Math.round(x / 60)} min` : `${Math.round(x)} s`);
  // Methods keep the colours that they have in reports; runs of one method (METHOD/seed_N) share it, their dashes differ.
  const COLOURS = ["edge", "mopps", "ds", "other-0", "other-2", "other-1", "other-3", "other-4"];
  const family = (name) => (/^(.*?)[/_-]?seed[_-]?[0-9]+$/.exec(name) || [null, ""])[1] || name;
  const known = (name) => ["uniform", "ds", "mopps", "edge"].find((method) => name.split(/[/:_-]/).includes(method));
  const colour = (i) => {
    const families = [...new Set(data.runs.map((run) => family(run.name)))];
    const own = family(data.runs[i].name);
    const taken = families.map(known);
    if (known(own) && taken.filter((name) => name === known(own)).length === 1) return `var(--${known(own)})`;
    const free = families.length > 8 ? COLOURS : COLOURS.filter((name) => !taken.includes(name));
    return `var(--${free[families.indexOf(own) % free.length]})`;
  };
  const dash = (i) => {
    const same = data.runs.slice(0, i).filter((run) => family(run.name) === family(data.runs[i].name)).length;
    const families = new Set(data.runs.map((run) => family(run.name))).size;
    return ["solid", "longdash", "dot", "dashdot"][(families === data.runs.length ? Math.floor(i / 8) : same) % 4];
  };
  const last = (values) => (values || []).filter((x) => x !== null).at(-1) ?? null;

  const runs = () => data.runs.map((run, i) => ({ run, i })).filter(({ i }) => !hidden.has(i));
  const section = (id, title, about, ...children) =>
    h("section", { id }, h("h2", null, title), about ? h("p", { class: "about" }, about) : null, children);
  const figure = (id, title, about, legend) => h("figure", null,
    h("figcaption", null, h("h3", null, title), about ? h("p", { class: "muted" }, about) : null), legend || null,
    h("div", { class: "plot", id }));
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
    h("p", { class: "muted", id: "facts" }, facts(run)),
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
        onclick: () => { chosen = i; open = null; answered = null; render(); } }, swatch(colour(i), ` ${dash(i)}`), run.name)),
        [run.steps ? number(run.steps[1]) : "–", number(run.rollouts), span(c.effective, percent), span(c.uniform, percent),
          c.saved_rollouts ? number(c.saved_rollouts.estimate) : "–", rate(last((run.curves || {}).success)),
          String(run.findings.filter((entry) => entry.level === "alarm").length)].map((x) => h("td", null, x)));
    }))));

  const points = (i) => (i.estimate === null ? "–" : `${signed(i.estimate)} points${i.low === null ? "" : ` (${signed(i.low)} to ${signed(i.high)})`}`);
  const signed = (x) => `${x < 0 ? "−" : "+"}${Math.abs(Math.round(x * 100))}`;
  const pairs = () => (data.pairs ? [h("h3", { class: "paired" }, `Minus ${data.pairs.baseline}, paired by seed`),
    h("p", { class: "about" }, "Second half of the steps that both runs of a seed have; 95% intervals from three seeds on."),
    h("div", { class: "scroll" }, h("table", { class: "numbers", id: "pairs" },
      h("thead", null, h("tr", null, ["method", "seeds", "groups with a gradient", "success rate"].map((x) => h("th", { scope: "col" }, x)))),
      h("tbody", null, data.pairs.rows.map((row) => h("tr", null, h("th", { scope: "row" }, row.method),
        [number(row.seeds), points(row.effective), points(row.success)].map((x) => h("td", null, x)))))))] : null);

  const categories = (run) => section("categories", "Categories", "Of the last 2,048 groups; the small lines go over the whole run.",
    h("div", { class: "scroll" }, h("table", { class: "numbers" },
      h("thead", null, h("tr", null, ["category", "prompts seen", "share of these", "share of picks", "predicted", "observed", "with a gradient",
        "observed over steps", "picks over steps"].map((x) => h("th", { scope: "col" }, x)))),
      h("tbody", null, run.categories.map((entry) => h("tr", null, h("th", { scope: "row" }, entry.name.slice(0, 60)),
        [number(entry.prompts), percent(entry.pool_share), percent(entry.picks_share), rate(entry.predicted), rate(entry.observed),
          percent(entry.effective)].map((x) => h("td", null, x)),
        h("td", null, trend(entry.observed_trend, "var(--mopps)", 1)), h("td", null, trend(entry.picks_trend, "var(--edge)"))))))));

  const dots = (entry) => h("div", { class: "dots" }, entry.groups.map(([step, successes, trials, predicted]) =>
    h("div", { class: "group", title: `step ${step}: ${successes} of ${trials} correct${predicted === null ? "" : `, predicted ${rate(predicted)}`}` },
      Array.from({ length: Math.min(trials, 16) }, (_, i) => h("i", { class: i < (successes / trials) * Math.min(trials, 16) ? "right" : "wrong" })),
      h("small", null, number(step)))));

  // Predictions where the log has them, and the belief that a Beta rule draws from the groups; drawn once the box has its width.
  const history = (entry) => {
    const box = h("div", { class: "plot", id: "prompt-chart" });
    const x = entry.groups.map((group) => group[0]);
    setTimeout(() => charts.lines(box, { title: "Belief over time", y: "success rate", limits: [0, 1], show: rate, series: [
      { name: "observed", x, y: entry.groups.map(([, s, k]) => s / k), of: "var(--mopps)", dash: "dot" },
      { name: "belief after", x, y: entry.belief, of: "var(--other-0)", dash: "longdash" },
      { name: "predicted", x, y: entry.groups.map((group) => group[3]), of: "var(--edge)" }] }));
    return [h("p", { class: "legend" }, h("span", null, swatch("var(--mopps)", " dot"), "observed"), h("span", null, swatch("var(--other-0)", " longdash"), "belief after each group (Beta rule)"),
      entry.groups.some((group) => group[3] !== null) ? h("span", null, swatch("var(--edge)"), "predicted before it") : null), box];
  };

  const detail = (entry) => h("article", { class: "prompt-detail" },
    h("h3", null, "Prompt ", h("code", null, entry.id)),
    h("p", { class: "muted" }, [entry.state, entry.category, `${entry.groups_count} groups`].filter(Boolean).join(" · ")),
    entry.groups.length > 1 ? history(entry) : null,
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
    const legend = charts.states(run.pool);
    main.replaceChildren(...[
      several ? section("runs", "Runs", "The chosen run is shown below; the charts of groups and predictions overlay all runs.", overview(), pairs()) : null,
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
    if (box("pool-chart")) charts.stacked(box("pool-chart"), run.pool);
    const series = (key, more) => runs().flatMap(({ run: r, i }) => {
      const curves = r.curves || {};
      const all = curves[key] ? [{ x: curves.step, y: curves[key], of: colour(i), dash: dash(i), name: data.runs.length > 1 ? r.name : "selected" }] : [];
      if (more && curves[more]) all.push({ x: curves.random_step, y: curves[more], of: data.runs.length > 1 ? colour(i) : "var(--uniform)", dash: "dash", thin: true, name: data.runs.length > 1 ? `${r.name}, at random` : "at random" });
      return all;
    });
    if (box("effective-chart")) charts.lines(box("effective-chart"), { title: "Groups with a gradient", y: "share of groups", limits: [0, 1], show: percent, series: series("effective", "random_effective") });
    if (box("success-chart")) charts.lines(box("success-chart"), { title: "Success rate", y: "success rate", limits: [0, 1], show: percent, series: series("success") });
    if (box("length-chart")) charts.lines(box("length-chart"), { title: "Completion length", y: run.unit || "tokens", series: series("length") });
    if (box("truncated-chart")) charts.lines(box("truncated-chart"), { title: "Truncated completions", y: "share of rollouts", limits: [0, 1], show: percent, series: series("truncated") });
    for (const name of Object.keys((run.curves || {}).numbers || {})) {
      if (box(`number-${name}`)) charts.lines(box(`number-${name}`), { title: name, y: name.replaceAll("_", " "),
        limits: /ratio|accuracy/.test(name) ? [0, 1] : null, show: /ratio|accuracy/.test(name) ? percent : undefined,
        series: runs().filter(({ run: r }) => ((r.curves || {}).numbers || {})[name]).map(({ run: r, i }) => ({
          x: r.curves.numbers[name].step, y: r.curves.numbers[name].value, of: colour(i), dash: dash(i), name: r.name })) });
    }
    if (box("calibration-chart")) charts.reliability(box("calibration-chart"), runs().flatMap(({ run: r, i }) =>
      Object.entries(r.calibration || {}).map(([kind, entry]) => ({ ...entry, of: colour(i), dash: kind === "random" ? "dash" : dash(i),
        name: `${r.name}, ${kind}` }))));
  };

  const chips = () => document.querySelector(".chips").replaceChildren(...(data.runs.length > 1 ? data.runs.map((run, i) =>
    h("button", { type: "button", class: "chip", "aria-pressed": String(!hidden.has(i)), onclick: (event) => {
      hidden[hidden.has(i) ? "delete" : "add"](i);
      event.currentTarget.setAttribute("aria-pressed", String(!hidden.has(i)));
      draw();
    } }, swatch(colour(i), ` ${dash(i)}`), run.name)) : []));

  charts.scheme();
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
      } else {
        data.runs.forEach((run, i) => { run.idle = fresh.idle[i]; });
        document.getElementById("facts").textContent = facts(data.runs[chosen]);
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
