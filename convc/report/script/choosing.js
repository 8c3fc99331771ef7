// Choosing an op: what belongs to it is marked, and what is known of it is told.

const fate = (side, op) => {
  if (data.sides.length < 2 || op.io) return "";
  if (side === 1)
    return op.ch
      ? `, made of ${count((op.src || []).length, "op")} of the original`
      : ", as it was";
  if (!op.ch) return op.to ? ", unchanged" : ", dropped: nobody used it";
  if (op.to) return `, became ${count(op.to.length, "op")}`;
  return op.in ? ", dropped: another op's result stands for its own" : ", dropped";
};
const others = (side, op) =>
  side === 1 ? [...(op.src || []), ...(op.abs || [])] : [...(op.to || []), ...(op.in || [])];

let graphs = [];
const clear = () => {
  for (const graph of graphs) graph.mark(-1, []);
  document.getElementById("live").textContent = "";
  document.getElementById("details").dataset.empty = "";
  document.getElementById("details-title").textContent = "No op is chosen";
  document
    .getElementById("details-body")
    .replaceChildren(make("p", {}, "Choose one in the graph, or in the tables below."));
};

const choose = (side, index) => {
  const op = data.sides[side].ops[index],
    graph = graphs[side];
  const box = graph.boxOf[index];
  graph.mark(box, []);
  if (document.activeElement && graph.canvas.contains(document.activeElement)) graph.focus(box);
  graph.see(box);
  if (graphs.length > 1) {
    const other = graphs[1 - side],
      linked = [...new Set(others(side, op).map((i) => other.boxOf[i]))];
    other.mark(-1, linked);
    if (linked.length) other.reveal(linked);
  }
  describe(side, index);
  document
    .getElementById("live")
    .replaceChildren(
      `${called(op)} chosen${fate(side, op)}. `,
      make("a", { href: "#details" }, "Its details"),
    );
};

const jump = (side, index) => {
  const op = data.sides[side].ops[index];
  const button = make("button", { type: "button" }, called(op));
  button.addEventListener("click", () => go(side, index));
  return button;
};
const go = (side, index) => {
  choose(side, index);
  document.getElementById("graph").scrollIntoView({ behavior: still.matches ? "auto" : "smooth" });
  graphs[side].focus(graphs[side].boxOf[index]);
};

const list = (title, tag, items) =>
  items.length
    ? [make("h4", {}, title), make(tag, {}, ...items.map((item) => make("li", {}, item)))]
    : [];
const few = (items, most) =>
  items.length <= most ? items : [...items.slice(0, most), `and ${items.length - most} more`];

const describe = (side, index) => {
  const op = data.sides[side].ops[index],
    graph = graphs[side];
  const facts = [
    ["Shape", op.s],
    ["MACs", op.io ? undefined : human(op.m)],
    ["Weights", op.p ? human(op.p) : undefined],
    ["Bytes moved", op.b === undefined ? undefined : human(op.b, "B")],
    ["Operations per byte", op.q === undefined ? undefined : trim(op.q)],
    [
      "Time",
      op.t === undefined
        ? op.f === undefined
          ? undefined
          : `in ${called(data.sides[side].ops[op.f])}`
        : time(op.t),
    ],
    ["Least time", op.l === undefined ? undefined : time(op.l)],
    ["Efficiency", op.e === undefined ? undefined : `${Math.round(100 * op.e)} %`],
    ["Kernel", op.kn],
    ["Likely slow because", (op.why || []).join("; ") || undefined],
    ["Not known", op.u],
    ...Object.entries(op.a || {}),
  ];
  const table = make("dl");
  for (const [name, text] of facts)
    if (text !== undefined && text !== "") table.append(make("dt", {}, name), make("dd", {}, text));
  const left = make("div", {}, table, ...list("Operands", "ul", op.i || []));
  const right = make("div");
  if (data.sides.length > 1) {
    const links = (key) =>
      few(
        (op[key] || []).map((i) => jump(1 - side, i)),
        40,
      );
    if (side === 1)
      right.append(
        ...list("Made of, in the original", "ul", links("src")),
        ...list("Stands for, too", "ul", links("abs")),
      );
    else
      right.append(
        ...list("Became", "ul", links("to")),
        ...list("Dropped; its result is now that of", "ul", links("in")),
      );
    if (side === 0 && !op.io && !op.to && !op.in)
      right.append(
        make(
          "p",
          {},
          op.ch
            ? "Nothing is left of it: what it computed is a constant, or is not needed."
            : "Nothing is left of it: nobody used it.",
        ),
      );
    right.append(...list("By these rewrites", "ol", few((op.ch || []).map(step), 60)));
    if (!op.ch && !op.io) right.append(make("p", {}, "No rewrite touched it."));
  }
  const members = graph.side.boxes[graph.boxOf[index]].slice(2);
  if (members.length > 1)
    right.append(
      ...list(
        "In this box",
        "ul",
        few(
          members.map((i) => jump(side, i)),
          60,
        ),
      ),
    );
  delete document.getElementById("details").dataset.empty;
  document.getElementById("details-title").textContent = `${titles[side]}: ${called(op)}`;
  document
    .getElementById("details-body")
    .replaceChildren(make("div", { class: "parts" }, left, right));
};
const step = (number) => {
  const [pass, note, exactness, residual, from, to] = data.rewrites[number];
  const proof = residual === null ? "" : `, proved: residual ${residual.toExponential(1)}`;
  const item = document.createDocumentFragment();
  item.append(
    make("strong", {}, `${pass}: `),
    `${note || "(no note)"} (${exactness}${proof}). `,
    make("small", {}, `${from} → ${to}`),
  );
  return item;
};
