// Puts the page together.

const begin = () => {
  const host = document.getElementById("sides");
  buildSwitch();
  graphs = data.sides.map((side, number) => new Graph(side, number, host));
  recolour();
  for (const graph of graphs) {
    graph.mark(-1, []);
    graph.start();
  }
  data.sides.forEach((side, number) => buildTable(side, number, document.getElementById("tables")));
  for (const element of document.querySelectorAll("[data-needs-script]")) element.hidden = false;
  for (const button of document.querySelectorAll("button.show"))
    button.addEventListener("click", () =>
      go(Number(button.dataset.side), Number(button.dataset.op)),
    );
  // A link into something folded opens it.
  const open = () => {
    const target =
      location.hash.length > 1 &&
      document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const fold = target && target.closest("details");
    if (fold) fold.open = true;
  };
  addEventListener("hashchange", open);
  open();
  let views, folds;
  addEventListener("beforeprint", () => {
    views = graphs.map((graph) => graph.view);
    folds = [...document.querySelectorAll("details")].filter((fold) => !fold.open);
    for (const fold of folds) {
      if (fold.fill && !fold.built) fold.fill(ROWS);
      fold.open = true;
    }
    for (const graph of graphs) {
      graph.svg.setAttribute("viewBox", `0 0 ${graph.side.width} ${graph.side.height}`);
      graph.show({ x: 0, y: 0, scale: 1 });
    }
  });
  addEventListener("afterprint", () => {
    graphs.forEach((graph, i) => {
      graph.svg.removeAttribute("viewBox");
      graph.show(views[i]);
    });
    for (const fold of folds) fold.open = false;
  });
  document.documentElement.dataset.ready = "yes";
};
begin();
