// A graph as it is drawn: boxes, edges, colours and marks.

class Drawing {
  constructor(side, number, host) {
    Object.assign(this, {
      side,
      number,
      view: { x: 0, y: 0, scale: 1 },
      pointers: new Map(),
      boxes: [],
    });
    this.boxOf = [];
    side.boxes.forEach(([, , ...members], i) =>
      members.forEach((op) => {
        this.boxOf[op] = i;
      }),
    );
    this.next = side.boxes.map(() => []);
    this.previous = side.boxes.map(() => []);
    for (const [a, b] of side.edges) {
      this.next[a].push(b);
      this.previous[b].push(a);
    }
    this.build(host);
  }

  build(host) {
    const { side, number } = this;
    const heading = make("h3", { id: `graph-${number}` }, titles[number]);
    const tools = make("div", {
      class: "tools",
      role: "group",
      "aria-label": `View of the graph: ${titles[number]}`,
    });
    for (const [label, text, act] of [
      ["Zoom in", "+", () => this.zoom(1.4)],
      ["Zoom out", "−", () => this.zoom(1 / 1.4)],
      ["Fit the whole graph", "Fit", () => this.fit()],
      ["Readable size, 1:1", "1:1", () => this.readable()],
    ]) {
      const button = make("button", { type: "button", "aria-label": label, title: label }, text);
      button.addEventListener("click", act);
      tools.append(button);
    }
    this.canvas = make("div", { class: "canvas" });
    this.svg = draw("svg", {
      role: "group",
      "aria-label": `Graph: ${titles[number]}, ${count(side.ops.length, "op")}, inputs and outputs included`,
    });
    this.layer = draw("g");
    const edges = draw("g", { "aria-hidden": "true" }),
      boxes = draw("g");
    this.edges = side.edges.map((edge) => {
      const path = draw("path", { class: "edge", d: this.path(edge) });
      edges.append(path);
      return path;
    });
    this.boxes = side.boxes.map((box, i) => this.box(box, i, boxes));
    this.layer.append(edges, boxes);
    this.svg.append(this.layer);
    this.canvas.append(this.svg);
    const figure = make("figure", {
      class: "graph",
      "data-side": number,
      "aria-labelledby": `graph-${number}`,
    });
    const caption = make("figcaption", {}, heading, tools);
    if (side.grouped > 1)
      caption.append(
        make(
          "p",
          { class: "hint" },
          `${side.ops.length.toLocaleString("en")} ops are too many to draw each: a box stands for up to ${side.grouped} that follow each other in the file. The table of ops has them all.`,
        ),
      );
    figure.append(caption, this.canvas);
    host.append(figure);
    if (this.boxes.length) this.boxes[0].setAttribute("tabindex", "0");
  }

  path([a, b, ...bends]) {
    const [x0, y0] = this.side.boxes[a],
      [x1, y1] = this.side.boxes[b];
    const points = [[x0, y0 + HEIGHT / 2]];
    for (let i = 0; i < bends.length; i += 2) points.push([bends[i], bends[i + 1]]);
    points.push([x1, y1 - HEIGHT / 2]);
    let told = `M${points[0]}`;
    for (let i = 1; i < points.length; i++) {
      const [px, py] = points[i - 1],
        [x, y] = points[i],
        middle = (py + y) / 2;
      told += px === x ? `L${x},${y}` : `C${px},${middle} ${x},${middle} ${x},${y}`;
    }
    return told;
  }

  box([x, y, ...members], i, host) {
    const ops = members.map((op) => this.side.ops[op]);
    const group = draw("g", {
      transform: `translate(${x - WIDTH / 2},${y - HEIGHT / 2})`,
      role: "button",
      tabindex: "-1",
      "data-box": i,
    });
    group.setAttribute(
      "class",
      `box${ops.some((op) => op.ch) ? " touched" : ""}${ops[0].io ? " edge-of" : ""}`,
    );
    if (this.number === 0 && data.sides.length > 1 && ops.every((op) => !op.io && !op.to))
      group.classList.add("gone");
    const several = ops.length > 1 ? `${ops.length} ops` : "";
    const name = several ? kindsOf(ops) : cut(ops[0].n || "", 22);
    group.append(
      draw("rect", {
        class: "ring",
        x: -5,
        y: -5,
        width: WIDTH + 10,
        height: HEIGHT + 10,
        rx: 8,
      }),
      draw("rect", { class: "body", width: WIDTH, height: HEIGHT, rx: 5 }),
      draw("text", { class: "kind", x: WIDTH / 2, y: 17 }, several || short(ops[0].k, 19)),
      " ",
      draw("text", { class: "name", x: WIDTH / 2, y: 31 }, name),
      " ",
      draw("text", { class: "value", x: WIDTH / 2, y: 46 }),
      draw("text", { class: "flag", x: WIDTH - 5, y: 47, "aria-hidden": "true" }),
    );
    // A tooltip is no part of what a screen reader says.
    group.addEventListener("pointerenter", () =>
      group.append(
        draw(
          "title",
          {},
          several
            ? ops.slice(0, 12).map(called).join(", ")
            : `${called(ops[0])}\n${ops[0].s || ""}`,
        ),
      ),
    );
    group.addEventListener("pointerleave", () => group.querySelector("title")?.remove());
    host.append(group);
    return group;
  }

  colour() {
    this.side.boxes.forEach(([, , ...members], i) => {
      const ops = members.map((op) => this.side.ops[op]),
        box = this.boxes[i];
      const value = valueOf(ops);
      const shade =
        value === undefined || ops[0].io ? "none" : Math.min(5, METRICS[metric].shade(value));
      for (const old of [...box.classList]) if (old.startsWith("heat-")) box.classList.remove(old);
      box.classList.add(`heat-${shade}`);
      const text = valueText(ops, this.side);
      box.querySelector(".value").textContent = text;
      const written = ops.length > 1 ? `${ops.length} ops ${kindsOf(ops)} ${text}, from ` : "";
      const first = `${called(ops[0])} ${written ? "on" : text}${fate(this.number, ops[0])}`;
      box.setAttribute("aria-label", written + first);
    });
  }

  mark(chosen, linked) {
    this.boxes.forEach((box, i) => {
      const is = i === chosen,
        has = linked.includes(i);
      box.classList.toggle("chosen", is);
      box.classList.toggle("linked", has && !is);
      box.setAttribute("aria-pressed", String(is));
      box.querySelector(".flag").textContent = is ? "●" : has ? "◆" : "";
    });
    this.edges.forEach((path, i) => {
      const [a, b] = this.side.edges[i];
      path.classList.toggle("linked", linked.includes(a) && linked.includes(b));
    });
  }
}
