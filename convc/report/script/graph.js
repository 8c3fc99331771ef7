// A graph that answers to pointer and keyboard.

class Graph extends View {
  constructor(side, number, host) {
    super(side, number, host);
    this.listen();
  }

  listen() {
    const { canvas } = this;
    canvas.addEventListener(
      "wheel",
      (event) => {
        if (!event.ctrlKey && !canvas.contains(document.activeElement)) return;
        event.preventDefault();
        const place = canvas.getBoundingClientRect();
        this.zoom(
          Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015)),
          event.clientX - place.left,
          event.clientY - place.top,
        );
      },
      { passive: false },
    );
    canvas.addEventListener("pointerdown", (event) => {
      this.pointers.set(event.pointerId, [event.clientX, event.clientY]);
      this.moved = this.pointers.size > 1 ? 9 : 0;
      const box = event.target.closest(".box");
      this.pressed = box ? Number(box.dataset.box) : undefined;
      canvas.setPointerCapture(event.pointerId);
      event.preventDefault();
      this.focus(this.pressed ?? this.current());
    });
    canvas.addEventListener("pointermove", (event) => {
      const old = this.pointers.get(event.pointerId);
      if (!old) return;
      const place = canvas.getBoundingClientRect();
      const before = [...this.pointers.values()];
      this.pointers.set(event.pointerId, [event.clientX, event.clientY]);
      const after = [...this.pointers.values()];
      if (after.length === 1) {
        this.moved += Math.hypot(event.clientX - old[0], event.clientY - old[1]);
        if (this.moved > 4) {
          canvas.classList.add("moving");
          this.pan(event.clientX - old[0], event.clientY - old[1]);
        }
      } else {
        const apart = (two) => Math.hypot(two[0][0] - two[1][0], two[0][1] - two[1][1]) || 1;
        const middle = (two) => [(two[0][0] + two[1][0]) / 2, (two[0][1] + two[1][1]) / 2];
        const [x, y] = middle(after),
          [px, py] = middle(before);
        this.pan(x - px, y - py);
        this.zoom(apart(after) / apart(before), x - place.left, y - place.top);
      }
    });
    const end = (event) => {
      const last = this.pointers.delete(event.pointerId) && !this.pointers.size;
      if (!last) return;
      canvas.classList.remove("moving");
      if (event.type === "pointerup" && this.moved <= 4 && this.pressed !== undefined)
        choose(this.number, this.side.boxes[this.pressed][2]);
    };
    canvas.addEventListener("pointerup", end);
    canvas.addEventListener("pointercancel", end);
    // Assistive technology clicks without a pointer.
    canvas.addEventListener("click", (event) => {
      const box = event.target.closest(".box");
      if (box && event.detail === 0)
        choose(this.number, this.side.boxes[Number(box.dataset.box)][2]);
    });
    canvas.addEventListener("keydown", (event) => this.key(event));
  }

  current() {
    return this.boxes.findIndex((box) => box.getAttribute("tabindex") === "0");
  }

  focus(i) {
    const old = this.boxes[this.current()];
    if (old) old.setAttribute("tabindex", "-1");
    this.boxes[i].setAttribute("tabindex", "0");
    this.boxes[i].focus({ preventScroll: true });
  }

  key(event) {
    if (
      event.altKey ||
      event.metaKey ||
      (event.ctrlKey && event.key !== "Home" && event.key !== "End")
    )
      return;
    const i = this.current(),
      step = 60;
    const arrows = {
      ArrowUp: [0, step],
      ArrowDown: [0, -step],
      ArrowLeft: [step, 0],
      ArrowRight: [-step, 0],
    };
    if (event.shiftKey && arrows[event.key]) this.pan(...arrows[event.key]);
    else if (event.key === "+" || event.key === "=") this.zoom(1.4);
    else if (event.key === "-") this.zoom(1 / 1.4);
    else if (event.key === "0") this.fit();
    else if (event.key === "Escape") clear();
    else if (event.key === "Enter" || event.key === " ") choose(this.number, this.side.boxes[i][2]);
    else {
      const target = {
        ArrowDown: () => this.next[i][0],
        ArrowUp: () => this.previous[i][0],
        ArrowRight: () => this.beside(i, 1),
        ArrowLeft: () => this.beside(i, -1),
        Home: () => 0,
        End: () => this.boxes.length - 1,
      }[event.key];
      if (!target) return;
      const next = target();
      if (next !== undefined) {
        this.focus(next);
        this.see(next);
      }
    }
    event.preventDefault();
  }

  beside(i, direction) {
    const [x, y] = this.side.boxes[i];
    let best,
      least = Infinity;
    this.side.boxes.forEach(([x1, y1], j) => {
      const away = (x1 - x) * direction;
      if (y1 === y && away > 0 && away < least) {
        least = away;
        best = j;
      }
    });
    return (
      best ?? (i + direction >= 0 && i + direction < this.boxes.length ? i + direction : undefined)
    );
  }
}
