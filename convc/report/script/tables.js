// The switch of colours, the legend, and the tables of ops.

const recolour = () => {
  for (const graph of graphs) graph.colour();
  const scale = make("span", { class: "scale" });
  for (let i = 0; i <= 5; i++) scale.append(sample(`heat-${i}`));
  const legend = document.getElementById("legend");
  const entry = (classes, text) => make("span", { class: "scale" }, sample(classes), text);
  scale.append(METRICS[metric].legend);
  legend.replaceChildren(scale);
  if (data.sides.length > 1)
    legend.append(
      entry("touched heat-none", "thick: a rewrite touched it"),
      entry("touched gone heat-none", "dashed: nothing was made of it"),
      make("span", {}, "● chosen"),
      make("span", {}, "◆ belongs to it"),
    );
};
const sample = (classes) => {
  const svg = draw("svg", { viewBox: `-8 -8 ${WIDTH + 16} ${HEIGHT + 16}`, "aria-hidden": "true" }),
    group = draw("g", { class: `box ${classes}` });
  group.append(draw("rect", { class: "body", width: WIDTH, height: HEIGHT, rx: 5 }));
  svg.append(group);
  return svg;
};

const buildSwitch = () => {
  const set = document.getElementById("colour");
  for (const key of keys) {
    const input = make("input", { type: "radio", name: "metric", value: key });
    input.checked = key === metric;
    input.addEventListener("change", () => {
      metric = key;
      recolour();
    });
    set.append(make("label", {}, input, METRICS[key].name));
  }
};

const buildTable = (side, number, host) => {
  const timed = side.ops.some((op) => op.t !== undefined);
  const head = [
    "Op",
    "Shape",
    "MACs",
    "Weights",
    "Bytes moved",
    ...(timed ? ["Time"] : []),
    ...(data.sides.length > 1 ? [number ? "Made of" : "Became"] : []),
  ];
  const fold = make(
    "details",
    { id: `ops-${number}` },
    make("summary", {}, `${titles[number]}: ${side.ops.length.toLocaleString("en")} entries`),
  );
  fold.addEventListener("toggle", () => {
    if (fold.open && !fold.built) fill(ROWS);
  });
  const fill = (rows) => {
    fold.built = true;
    const body = make("tbody"),
      shown = Math.min(rows, side.ops.length);
    for (let i = 0; i < shown; i++) body.append(row(side, number, i, head));
    const caption = `Inputs, ops and outputs in the file's order${shown < side.ops.length ? `, the first ${shown}` : ""}`;
    const table = make(
      "table",
      { class: "stacked" },
      make("caption", {}, caption),
      make("thead", {}, make("tr", {}, ...head.map((text) => make("th", { scope: "col" }, text)))),
      body,
    );
    const scroll = make(
      "div",
      {
        class: "scroll",
        role: "region",
        tabindex: "0",
        "aria-label": `Table of ops: ${titles[number]}`,
      },
      table,
    );
    fold.replaceChildren(fold.firstChild, scroll);
    if (shown < side.ops.length) {
      const more = make(
        "button",
        { type: "button" },
        `Show all ${side.ops.length.toLocaleString("en")}`,
      );
      more.addEventListener("click", () => {
        fill(side.ops.length);
        fold.querySelector(".scroll").focus();
      });
      fold.append(more);
    }
  };
  fold.fill = fill;
  host.append(fold);
};
const row = (side, number, i, head) => {
  const timed = head.includes("Time"),
    compared = data.sides.length > 1;
  const op = side.ops[i];
  const cells = [
    op.s || "?",
    op.io ? "" : human(op.m),
    op.p ? human(op.p) : "",
    op.b === undefined ? "" : human(op.b, "B"),
  ];
  if (timed)
    cells.push(
      op.t === undefined ? (op.f === undefined ? "" : `in ${side.ops[op.f].k}`) : time(op.t),
    );
  if (compared) {
    const linked = others(number, op);
    const one =
      linked.length === 1 && !op.ch
        ? "the same"
        : linked
            .map((j) => called(data.sides[1 - number].ops[j]))
            .slice(0, 6)
            .join(", ") + (linked.length > 6 ? ` and ${linked.length - 6} more` : "");
    cells.push(one || "nothing");
  }
  const button = make("button", { type: "button" }, called(op));
  button.addEventListener("click", () => go(number, i));
  return make(
    "tr",
    {},
    make("th", { scope: "row" }, button),
    ...cells.map((text, j) => make("td", { "data-label": head[j + 1] }, text)),
  );
};
