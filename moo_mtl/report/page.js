"use strict";
(() => {
  const root = document.documentElement;
  const { figures } = JSON.parse(document.getElementById("report-data").textContent);
  const hidden = new Set();
  const shown = new Map(); // number of a figure -> the part of it that is chosen, once it is drawn

  const narrow = matchMedia("(max-width: 640px)");
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const setTheme = (name) => { root.dataset.theme = name; };
  setTheme(dark.matches ? "dark" : "light");

  const colour = (name) => getComputedStyle(root).getPropertyValue(`--${name}`).trim();

  function themed() {
    const axis = { gridcolor: colour("line"), zerolinecolor: colour("line"), linecolor: colour("soft"), automargin: true };
    return { axis, font: { color: colour("ink"), size: 12 } };
  }

  function layoutOf(figure) {
    const { axis, font } = themed();
    const layout = structuredClone(figure.layout);
    for (const name of ["xaxis", "yaxis"]) if (layout[name]) Object.assign(layout[name], axis);
    if (layout.scene) {
      const flat = { gridcolor: axis.gridcolor, zerolinecolor: axis.gridcolor, showbackground: false, color: font.color };
      for (const name of ["xaxis", "yaxis", "zaxis"]) Object.assign(layout.scene[name], flat);
      layout.scene.aspectmode = "cube";
    }
    return Object.assign(layout, {
      font, showlegend: false, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      margin: layout.scene ? { l: 0, r: 0, t: 0, b: 0 } : { l: 56, r: 12, t: 12, b: 44 },
      modebar: { bgcolor: "rgba(0,0,0,0)", color: colour("soft"), activecolor: colour("ink") },
      hoverlabel: { align: "left" }, uirevision: "kept",
    });
  }

  // Black and grey of the palette would vanish on dark paper.
  const onDark = (hex) => (root.dataset.theme === "dark" && hex === "#000000" ? "#ffffff" : hex);
  function coloured(trace) {
    const copy = { ...trace };
    if (trace.line && trace.line.color) copy.line = { ...trace.line, color: onDark(trace.line.color) };
    if (trace.marker && typeof trace.marker.color === "string") copy.marker = { ...trace.marker, color: onDark(trace.marker.color) };
    return copy;
  }

  function visible(figure, number) {
    const part = shown.get(number);
    return figure.data.map(({ meta }) => !hidden.has(meta.rule) && (!part || meta.part === part));
  }

  function draw(number) {
    const figure = figures[number];
    const seen = visible(figure, number);
    const data = figure.data.map((trace, n) => ({ ...coloured(trace), visible: seen[n] }));
    const options = { responsive: true, displaylogo: false, scrollZoom: false, displayModeBar: narrow.matches ? false : "hover" };
    return Plotly.react(`figure-${number}`, data, layoutOf(figure), options);
  }

  function refresh() {
    for (const number of shown.keys()) {
      Plotly.restyle(`figure-${number}`, { visible: visible(figures[number], number) });
    }
    for (const row of document.querySelectorAll("tbody tr")) row.hidden = hidden.has(row.dataset.rule);
    for (const chip of document.querySelectorAll(".chip")) chip.setAttribute("aria-pressed", !hidden.has(chip.dataset.rule));
  }

  function begin(number) {
    if (shown.has(number)) return Promise.resolve();
    const choice = document.querySelector(`select[data-figure="${number}"]`);
    shown.set(number, choice ? choice.value : "");
    return draw(number);
  }

  for (const chip of document.querySelectorAll(".chip")) {
    chip.addEventListener("click", () => {
      const { rule } = chip.dataset;
      if (!hidden.delete(rule)) hidden.add(rule);
      refresh();
    });
  }
  const every = [...document.querySelectorAll(".chip")].map((chip) => chip.dataset.rule);
  document.querySelector(".all").addEventListener("click", () => { hidden.clear(); refresh(); });
  document.querySelector(".none").addEventListener("click", () => { every.forEach((rule) => hidden.add(rule)); refresh(); });

  for (const choice of document.querySelectorAll("select")) {
    choice.addEventListener("change", () => {
      const number = Number(choice.dataset.figure);
      shown.set(number, choice.value);
      Plotly.restyle(`figure-${number}`, { visible: visible(figures[number], number) });
    });
  }

  function repaint(name) {
    setTheme(name);
    for (const number of shown.keys()) draw(number);
  }
  document.getElementById("theme").addEventListener("click", () => repaint(root.dataset.theme === "dark" ? "light" : "dark"));
  dark.addEventListener("change", () => repaint(dark.matches ? "dark" : "light"));

  function sort(head) {
    const table = head.closest("table");
    const column = [...head.parentNode.children].indexOf(head);
    const direction = head.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
    for (const other of head.parentNode.children) other.setAttribute("aria-sort", "none");
    head.setAttribute("aria-sort", direction);
    const sign = direction === "ascending" ? 1 : -1;
    const key = (row) => row.children[column].dataset.v;
    const number = (text) => (text !== "" && Number.isFinite(Number(text)) ? Number(text) : null);
    const rows = [...table.tBodies[0].rows].sort((a, b) => {
      const [left, right] = [key(a), key(b)];
      if (left === "" || right === "") return (left === "") - (right === ""); // what is missing comes last
      const [m, n] = [number(left), number(right)];
      return sign * (m !== null && n !== null ? m - n : left.localeCompare(right));
    });
    table.tBodies[0].append(...rows);
  }
  for (const head of document.querySelectorAll("th")) {
    head.addEventListener("click", () => sort(head));
    head.addEventListener("keydown", (event) => { if (event.key === "Enter") sort(head); });
  }

  root.dataset.parsed = Math.round(performance.now());
  // The first figure at once, the others when they come near.
  if (figures.length) {
    begin(0).then(() => { root.dataset.firstFigure = Math.round(performance.now()); });
    const watch = new IntersectionObserver((entries) => {
      for (const { isIntersecting, target } of entries) {
        if (!isIntersecting) continue;
        watch.unobserve(target);
        begin(Number(target.id.slice("figure-".length)));
      }
    }, { rootMargin: "400px" });
    for (const plot of document.querySelectorAll(".plot")) watch.observe(plot);
  }
})();
