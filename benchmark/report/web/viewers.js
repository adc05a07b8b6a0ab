"use strict";
// Viewers: the same slices of the truth and of every method side by side, with one window, one cursor and linked slices.
{
  const facts = JSON.parse(document.getElementById("facts").textContent);
  const ACROSS = [[1, 2], [0, 2], [0, 1]]; // the axes of an image (down, along) by the axis it lies across
  const HELP = "Drag: cursor. Wheel: slices. Shift and drag: window. Keys: arrows move the cursor, Page Up and Page Down the slice, 1 2 3 choose the plane, [ ] the window's width, - = its level, d images or differences, r resets.";
  const short = (value) => (value === 0 ? "0" : Math.abs(value) >= 100 || Math.abs(value) < 1e-3 ? value.toExponential(2) : value.toPrecision(3));

  // Blue for too little, white for right, red for too much: 511 colours.
  const ERRORS = (() => {
    const stops = [[5, 48, 97], [67, 147, 195], [247, 247, 247], [214, 96, 77], [103, 0, 31]], colours = new Uint32Array(511);
    for (let i = 0; i < 511; i++) {
      const at = (i / 510) * 4, k = Math.min(3, Math.floor(at)), part = at - k;
      const [r, g, b] = [0, 1, 2].map((c) => Math.round(stops[k][c] * (1 - part) + stops[k + 1][c] * part));
      colours[i] = (255 << 24) | (b << 16) | (g << 8) | r;
    }
    return colours;
  })();

  class Viewer {
    constructor(element, facts, number) {
      Object.assign(this, { element, facts, number, group: facts.groups[0], mode: "image", plane: "all", active: facts.planes[0].axis });
      this.window = [...facts.window];
      this.error = facts.error;
      element.textContent = "Unpacking the images ...";
      this.open(this.group).then(() => this.start(), (error) => { element.textContent = `The images could not be unpacked by this browser: ${error}`; });
    }

    async open(group) {
      const names = [...(group.reference ? [group.reference] : []), ...group.items.map((item) => item.stack)];
      const stacks = await Promise.all(names.map((name) => Stack.load(name)));
      this.group = group;
      this.reference = group.reference ? stacks[0] : null;
      this.items = group.items.map((item, index) => ({ ...item, values: stacks[index + (group.reference ? 1 : 0)] }));
      this.shape = stacks[0].shape;
      this.at = this.at || this.shape.map((n) => n >> 1);
    }

    start() {
      this.element.replaceChildren();
      this.controls();
      this.build();
      this.element.dataset.ready = "true";
    }

    controls() {
      const { facts, number } = this, bar = document.createElement("div");
      bar.className = "bar";
      if (facts.groups.length > 1)
        bar.append(choices(`viewer-${number}-group`, "Scan", facts.groups.map((group, index) => [String(index), group.name]), "0",
          (index) => this.open(facts.groups[index]).then(() => this.build())));
      if (facts.groups.some((group) => group.reference)) {
        const modes = [["image", "Images"], ["difference", `Minus ${facts.reference}`], ["both", "Both"]];
        this.modes = choices(`viewer-${number}-mode`, "Show", modes, this.mode, (mode) => { this.mode = mode; this.build(); });
        bar.append(this.modes);
      }
      if (facts.planes.length > 1) {
        const planes = [["all", "All"], ...facts.planes.map((plane) => [String(plane.axis), plane.name])];
        bar.append(choices(`viewer-${number}-plane`, "Planes", planes, "all", (plane) => { this.plane = plane; this.active = plane === "all" ? 0 : Number(plane); this.build(); }));
      }
      this.sliders = facts.planes.map((plane) => {
        const words = (index) => (facts.numbers ? `${facts.numbers[index]}` : `${Number(index) + 1} of ${this.shape[plane.axis]}`);
        const made = slider(facts.numbers ? "view" : `slice ${plane.label}`, 0, this.shape[plane.axis] - 1, 1, this.at[plane.axis], words, (index) => this.move(plane.axis, index - this.at[plane.axis]));
        bar.append(made.element);
        return made;
      });
      const [low, high] = facts.range, span = high - low;
      const middle = () => (this.window[0] + this.window[1]) / 2, width = () => this.window[1] - this.window[0];
      this.level = slider("level", low, high, span / 500, middle(), (v) => short(Number(v)), (v) => this.setWindow(v, width()));
      this.width = slider("window", span / 200, span, span / 500, width(), (v) => short(Number(v)), (v) => this.setWindow(middle(), v));
      this.limit = slider("difference ±", facts.error / 10, facts.error * 4, facts.error / 50, facts.error, (v) => short(Number(v)), (v) => { this.error = v; this.redraw(); });
      const size = slider("size", 110, 460, 10, 170, (v) => `${v} px`, (v) => { this.tiles.style.setProperty("--tile", `${v}px`); size.set(v); });
      const reset = document.createElement("button");
      Object.assign(reset, { type: "button", className: "plain", textContent: "Reset" });
      reset.addEventListener("click", () => this.reset());
      const window = document.createElement("details"), title = document.createElement("summary"), row = document.createElement("div");
      title.textContent = "Window and size";
      row.className = "bar";
      window.open = this.element.clientWidth > 600;
      row.append(this.level.element, this.width.element, ...(this.reference ? [this.limit.element] : []), size.element, reset);
      window.append(title, row);
      this.tiles = document.createElement("div");
      Object.assign(this.tiles, { className: "tiles", tabIndex: 0 });
      this.tiles.setAttribute("role", "group");
      this.tiles.setAttribute("aria-label", `Images of ${facts.title}. ${HELP}`);
      this.tiles.addEventListener("keydown", (event) => this.key(event));
      this.where = document.createElement("p");
      this.where.className = "said";
      this.where.setAttribute("aria-live", "polite");
      this.scales = document.createElement("div");
      this.scales.className = "scales";
      const help = document.createElement("details"), head = document.createElement("summary"), note = document.createElement("p");
      head.textContent = "Mouse, keys and precision";
      note.className = "note";
      const step = span / (LEVELS - 1);
      const seeds = [...new Set(facts.groups.flatMap((group) => group.items.map((item) => item.seed)))];
      note.textContent = `${HELP} ${facts.note} Runs of seed ${seeds.join(", ")}. Numbers on this page are rounded to steps of ${short(step)} and cut to ${short(low)} .. ${short(high)} ${facts.unit}; the stored volumes are not.`;
      help.append(head, note);
      this.element.append(bar, window, this.where, this.tiles, this.scales, help);
    }

    build() { // the tiles of the present group, mode and planes, of the methods that are shown
      const planes = this.facts.planes.filter((plane) => this.plane === "all" || String(plane.axis) === this.plane);
      const mode = this.reference ? this.mode : "image";
      this.panels = [];
      this.captions = [];
      this.tiles.replaceChildren();
      const items = this.items.filter((item) => Methods.shows(item.label));
      const all = this.reference ? [{ label: this.facts.reference, score: "", values: this.reference, own: true }, ...items] : items;
      for (const item of all) {
        const tile = document.createElement("figure"), caption = document.createElement("figcaption"), name = document.createElement("strong"), value = document.createElement("span");
        tile.className = "tile";
        value.className = "value";
        name.textContent = item.label;
        caption.append(name, item.score ? ` ${item.score}` : "", value);
        tile.append(caption);
        this.captions.push({ item, value });
        for (const plane of planes)
          for (const kind of mode === "both" ? ["image", "difference"] : [item.own ? "image" : mode])
            tile.append(item.own && kind === "difference" ? this.gap(plane) : this.panel(item, plane, kind));
        this.tiles.append(tile);
      }
      this.redraw();
    }

    frame(plane) {
      const [down, along] = ACROSS[plane.axis], { spacing } = this.facts, box = document.createElement("div");
      box.className = "panel";
      const aspect = this.shape[along] * spacing[along] / (this.shape[down] * spacing[down]);
      box.style.aspectRatio = Math.min(Math.max(aspect, 1 / 4), 12);  // one slice or one row is stretched to be seen
      return box;
    }

    gap(plane) { // below the truth, beside the differences
      const box = this.frame(plane);
      box.style.visibility = "hidden";
      return box;
    }

    panel(item, plane, kind) {
      const [down, along] = ACROSS[plane.axis], { shape } = this;
      const box = this.frame(plane), canvas = document.createElement("canvas"), across = document.createElement("i"), upright = document.createElement("i");
      Object.assign(canvas, { width: shape[along], height: shape[down] });
      canvas.setAttribute("role", "img");
      canvas.setAttribute("aria-label", `${item.label}, ${plane.name}${kind === "difference" ? `, minus ${this.facts.reference}` : ""}`);
      across.className = "across";
      upright.className = "down";
      box.append(canvas, across, upright);
      const context = canvas.getContext("2d"), image = context.createImageData(shape[along], shape[down]);
      this.panels.push({ item, plane, kind, box, across, upright, context, image, pixels: new Uint32Array(image.data.buffer) });
      box.addEventListener("wheel", (event) => {
        if (event.ctrlKey) return; // that is the browser's zoom
        const step = Math.sign(event.deltaY), next = this.at[plane.axis] + step;
        if (!step || next < 0 || next >= shape[plane.axis]) return; // at the end the page scrolls on
        event.preventDefault();
        this.active = plane.axis;
        this.move(plane.axis, step);
      }, { passive: false });
      box.addEventListener("contextmenu", (event) => event.preventDefault());
      box.addEventListener("pointerdown", (event) => {
        this.tiles.focus({ preventScroll: true });
        box.setPointerCapture(event.pointerId);
        this.active = plane.axis;
        this.drag = event.shiftKey || event.button === 2 ? { x: event.clientX, y: event.clientY, window: [...this.window] } : null;
        if (!this.drag) this.follow(event, box, down, along);
      });
      box.addEventListener("pointermove", (event) => {
        if (!event.buttons) return;
        if (!this.drag) { this.follow(event, box, down, along); return; }
        const [low, high] = this.drag.window, span = this.facts.window[1] - this.facts.window[0];
        const width = (high - low) + ((event.clientX - this.drag.x) / 200) * span;
        this.setWindow((low + high) / 2 - ((event.clientY - this.drag.y) / 200) * span, width);
      });
      return box;
    }

    follow(event, box, down, along) { // the cursor goes where the pointer is
      const frame = box.getBoundingClientRect(), clamp = (value, n) => Math.max(0, Math.min(n - 1, Math.floor(value)));
      this.at[along] = clamp(((event.clientX - frame.left) / frame.width) * this.shape[along], this.shape[along]);
      this.at[down] = clamp((1 - (event.clientY - frame.top) / frame.height) * this.shape[down], this.shape[down]);
      this.redraw();
    }

    move(axis, step) {
      this.at[axis] = Math.max(0, Math.min(this.shape[axis] - 1, this.at[axis] + step));
      this.redraw();
    }

    setWindow(level, width) {
      const [low, high] = this.facts.range, span = high - low;
      width = Math.max(span / 200, Math.min(span, width));
      level = Math.max(low, Math.min(high, level));
      this.window = [level - width / 2, level + width / 2];
      this.redraw();
    }

    reset() {
      this.window = [...this.facts.window];
      this.error = this.facts.error;
      this.at = this.shape.map((n) => n >> 1);
      this.redraw();
    }

    key(event) {
      const [down, along] = ACROSS[this.active], span = this.facts.window[1] - this.facts.window[0];
      const level = (this.window[0] + this.window[1]) / 2, width = this.window[1] - this.window[0];
      const plane = this.facts.planes[Number(event.key) - 1];
      const actions = {
        ArrowLeft: () => this.move(along, -1), ArrowRight: () => this.move(along, 1), ArrowUp: () => this.move(down, 1), ArrowDown: () => this.move(down, -1),
        PageUp: () => this.move(this.active, 1), PageDown: () => this.move(this.active, -1),
        "[": () => this.setWindow(level, width - span / 20), "]": () => this.setWindow(level, width + span / 20),
        "-": () => this.setWindow(level - span / 40, width), "=": () => this.setWindow(level + span / 40, width), r: () => this.reset(),
        d: () => {
          const inputs = this.modes ? [...this.modes.querySelectorAll("input")] : [];
          if (inputs.length) inputs[(inputs.findIndex((input) => input.checked) + 1) % inputs.length].click();
          this.tiles.focus({ preventScroll: true });
        },
      };
      const action = plane ? () => { this.active = plane.axis; this.redraw(); } : actions[event.key];
      if (!action || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      action();
    }

    redraw() { // once a frame, however many events there were
      if (Stack.hurry) { this.draw(); return; }
      if (this.due) return;
      this.due = requestAnimationFrame(() => { this.due = 0; this.draw(); });
    }

    draw() {
      const { at, shape, facts } = this;
      for (const panel of this.panels) this.paint(panel);
      facts.planes.forEach((plane, index) => this.sliders[index].set(at[plane.axis]));
      this.level.set((this.window[0] + this.window[1]) / 2);
      this.width.set(this.window[1] - this.window[0]);
      this.limit.set(this.error);
      for (const { item, value } of this.captions) {
        const own = item.values.value(at), rest = this.reference && !item.own ? own - this.reference.value(at) : null;
        value.textContent = short(own) + (rest === null ? "" : ` (${rest < 0 ? "−" : "+"}${short(Math.abs(rest))})`);
      }
      const place = (axis) => (facts.first[axis] + at[axis] * facts.spacing[axis]).toFixed(1);
      this.where.textContent = facts.numbers
        ? `View ${facts.numbers[at[0]]}, u ${place(2)}, v ${place(1)} ${facts.lengths}; below each name the value there, in brackets its difference.`
        : `Cursor: x ${place(2)}, y ${place(1)}, z ${place(0)} ${facts.lengths}; below each name the value there [${facts.unit}]${this.reference ? ", in brackets its difference" : ""}.`;
      const bar = (name, low, high) => {
        const span = document.createElement("span"), box = document.createElement("b");
        box.className = name;
        span.append(short(low), box, `${short(high)} ${facts.unit}`);
        return span;
      };
      this.scales.replaceChildren(bar("grey", ...this.window), ...(this.reference ? [bar("errors", -this.error, this.error)] : []));
      this.element.dataset.at = at.join(",");
    }

    paint({ item, plane, kind, box, across, upright, context, image, pixels }) {
      const { values } = item, { axis } = plane, { at, shape, reference } = this, [down, along] = ACROSS[axis];
      if (kind === "image") {
        const [low, high] = this.window, scale = 255 / (high - low), grey = new Uint32Array(LEVELS);
        for (let q = 0; q < LEVELS; q++) {
          const g = Math.max(0, Math.min(255, Math.round((values.low + q * values.step - low) * scale)));
          grey[q] = (255 << 24) | (g << 16) | (g << 8) | g;
        }
        values.slice(axis, at[axis], (to, from) => { pixels[to] = grey[values.levels[from]]; });
      } else {
        const scale = (255 * values.step) / this.error; // both stacks have the same low and step
        values.slice(axis, at[axis], (to, from) => {
          const error = Math.round((values.levels[from] - reference.levels[from]) * scale);
          pixels[to] = ERRORS[255 + Math.max(-255, Math.min(255, error))];
        });
      }
      context.putImageData(image, 0, 0);
      across.style.top = `${(100 * (shape[down] - 0.5 - at[down])) / shape[down]}%`;
      upright.style.left = `${(100 * (at[along] + 0.5)) / shape[along]}%`;
      box.classList.toggle("active", axis === this.active && this.facts.planes.length > 1 && this.plane === "all");
    }
  }

  const viewers = new Map(); // by element
  const begin = (element) => {
    watch.unobserve(element);
    viewers.set(element, new Viewer(element, facts.viewers[Number(element.dataset.viewer)], Number(element.dataset.viewer)));
  };
  const watch = new IntersectionObserver((entries) => entries.filter((one) => one.isIntersecting).forEach((one) => begin(one.target)), { rootMargin: "800px" });
  const elements = [...document.querySelectorAll("[data-viewer]")], isReady = (element) => element.dataset.ready === "true";
  for (const element of elements) watch.observe(element);
  document.addEventListener("methods", () => elements.filter(isReady).forEach((element) => viewers.get(element).build()));

  addEventListener("beforeprint", () => { // all that has not been scrolled to, at once
    Stack.hurry = true;
    for (const element of elements) isReady(element) ? viewers.get(element).draw() : begin(element);
  });
  addEventListener("afterprint", () => { Stack.hurry = false; });
}
