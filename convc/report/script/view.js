// A drawing that is moved and zoomed.

class View extends Drawing {
  size() {
    return [this.canvas.clientWidth || 300, this.canvas.clientHeight || 300];
  }

  show(view, slowly = false) {
    const apply = (v) => {
      this.view = v;
      this.layer.setAttribute(
        "transform",
        `translate(${v.x.toFixed(2)},${v.y.toFixed(2)}) scale(${v.scale.toFixed(4)})`,
      );
      this.layer.classList.toggle("far", v.scale < FAR);
    };
    cancelAnimationFrame(this.moving);
    if (!slowly || still.matches) return apply(view);
    const from = this.view,
      begin = performance.now();
    const step = (now) => {
      const part = Math.min(1, (now - begin) / 250),
        eased = part * (2 - part);
      const between = (key) => from[key] + (view[key] - from[key]) * eased;
      apply({ x: between("x"), y: between("y"), scale: between("scale") });
      if (part < 1) this.moving = requestAnimationFrame(step);
    };
    this.moving = requestAnimationFrame(step);
  }

  onto(left, top, width, height, most, slowly) {
    const [w, h] = this.size();
    const scale = Math.min(most, w / (width + 24), h / (height + 24));
    this.show(
      { x: w / 2 - (left + width / 2) * scale, y: h / 2 - (top + height / 2) * scale, scale },
      slowly,
    );
  }

  fit(slowly = true) {
    this.onto(0, 0, this.side.width, this.side.height, 1.5, slowly);
  }

  readable() {
    const chosen = this.boxes.findIndex(
      (box) => box.classList.contains("chosen") || box.classList.contains("linked"),
    );
    const [x, y] = this.side.boxes[Math.max(chosen, 0)],
      [w, h] = this.size();
    this.show({ x: w / 2 - x, y: h / (chosen < 0 ? 8 : 2) - y, scale: 1 }, true);
  }

  start() {
    const [w, h] = this.size();
    if (Math.min(w / this.side.width, h / this.side.height) >= READABLE / 2) return this.fit(false);
    const scale = Math.max(READABLE, Math.min(1, w / (this.side.width + 24)));
    const [x] = this.side.boxes[0];
    const middle = this.side.width * scale <= w ? this.side.width / 2 : x;
    this.show({ x: w / 2 - middle * scale, y: 12, scale });
  }

  zoom(factor, x, y) {
    const [w, h] = this.size(),
      { view } = this;
    const scale = Math.min(4, Math.max(0.01, view.scale * factor));
    const px = x ?? w / 2,
      py = y ?? h / 2,
      part = scale / view.scale;
    this.show({ x: px - (px - view.x) * part, y: py - (py - view.y) * part, scale });
  }

  pan(x, y) {
    this.show({ ...this.view, x: this.view.x + x, y: this.view.y + y });
  }

  reveal(indices) {
    const places = indices.map((i) => this.side.boxes[i]);
    const xs = places.map(([x]) => x),
      ys = places.map(([, y]) => y);
    const left = Math.min(...xs) - WIDTH,
      top = Math.min(...ys) - HEIGHT * 1.5;
    this.onto(
      left,
      top,
      Math.max(...xs) + WIDTH - left,
      Math.max(...ys) + HEIGHT * 1.5 - top,
      Math.max(READABLE, Math.min(this.view.scale, 1)),
      true,
    );
  }

  see(i) {
    const [x, y] = this.side.boxes[i],
      [w, h] = this.size(),
      { view } = this;
    const px = x * view.scale + view.x,
      py = y * view.scale + view.y;
    const mx = (WIDTH / 2) * view.scale,
      my = (HEIGHT / 2) * view.scale;
    if (px < mx || py < my || px > w - mx || py > h - my)
      this.show({ ...view, x: w / 2 - x * view.scale, y: h / 2 - y * view.scale }, true);
  }
}
