"use strict";
// Charts: one SVG for each section, drawn from the facts; score, horizontal axis and methods can be switched.
{
  const facts = JSON.parse(document.getElementById("facts").textContent);
  const WIDE = { width: 960, height: 400 }, NARROW = { width: 420, height: 340 }, EDGE = { left: 52, right: 14, top: 14, bottom: 40 };
  const AXES = { views: "Training views", seconds: "Method time [s]", peak_memory_mb: "Peak memory [MiB]", progress: "Seconds into the run" };
  const MARKS = ["circle", "M-5-5h10v10h-10z", "M0-6.5l5.5 6.5-5.5 6.5-5.5-6.5z", "M0-6l6 10.5h-12z", "M0 6l-6-10.5h12z", "M-6 0l10.5-6v12z", "M6 0l-10.5-6v12z"];

  const svg = (name, attributes, parent, text) => {
    const node = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    if (text !== undefined) node.textContent = text;
    parent.append(node);
    return node;
  };

  const mark = (series, x, y, parent) => {
    const shape = MARKS[series.marker % MARKS.length], place = { transform: `translate(${x} ${y})`, class: "mark", fill: series.colour };
    return shape === "circle" ? svg("circle", { r: 5.5, ...place }, parent) : svg("path", { d: shape, ...place }, parent);
  };

  const steps = (low, high, most) => {
    const rough = (high - low || 1) / most, power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= rough), found = [];
    for (let k = Math.ceil(low / step - 1e-9); k * step <= high * (1 + 1e-12) + 1e-12 && found.length <= 2 * most; k++) found.push(Number((k * step).toPrecision(12)));
    return found;
  };
  const logSteps = (low, high) => {
    const found = [];
    for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++)
      for (const n of [1, 2, 5]) { const value = n * 10 ** power; if (value >= low * 0.999 && value <= high * 1.001) found.push(Number(value.toPrecision(6))); }
    return found.length > 1 ? found : [low, high].map((value) => Number(value.toPrecision(2)));
  };

  class Chart {
    constructor(element, data) {
      Object.assign(this, { element, data, axis: "views", hidden: new Set(), current: -1 });
      this.score = data.scores.find((score) => score.name === "volume_psnr") || data.scores[0];
      const counts = new Set(data.series.flatMap((series) => series.points.map((point) => point.views)));
      if (counts.size === 1) this.axis = "seconds"; // a single number of views is no axis
      this.curveViews = [...new Set(data.curves.map((curve) => curve.views))].sort((a, b) => a - b);
      this.views = this.curveViews[0];
      const kept = Memory.get(`chart-${element.dataset.chart}`) || {};
      this.score = data.scores.find((score) => score.name === kept.score) || this.score;
      if (kept.axis in AXES && (kept.axis !== "progress" || data.curves.length)) this.axis = kept.axis;
      this.build();
      this.draw();
      document.addEventListener("methods", () => this.draw());
      new ResizeObserver(() => { if (this.size !== this.fitting()) this.draw(); }).observe(element);
    }

    fitting() { return this.element.clientWidth < 600 ? NARROW : WIDE; }

    keep() { Memory.set(`chart-${this.element.dataset.chart}`, { score: this.score.name, axis: this.axis }); }

    build() {
      const id = `chart-${this.element.dataset.chart}`;
      const bar = document.createElement("div");
      bar.className = "bar";
      const axes = Object.entries({ views: "Views", seconds: "Time", peak_memory_mb: "Memory", progress: "Progress" }).filter(([name]) => name !== "progress" || this.data.curves.length);
      bar.append(select(`${id}-score`, "Score", this.data.scores.map((s) => [s.name, s.protocol === "strict" ? s.heading : `${s.heading}, ${s.protocol}`]), this.score.name,
        (name) => { this.score = this.data.scores.find((s) => s.name === name); this.keep(); this.draw(); }));
      bar.append(choices(`${id}-axis`, "Against", axes, this.axis, (axis) => { this.axis = axis; this.keep(); this.draw(); }));
      this.viewsChoice = choices(`${id}-views`, "Of the runs with", this.curveViews.map((n) => [String(n), `${n} views`]), String(this.views), (n) => { this.views = Number(n); this.draw(); });
      bar.append(this.viewsChoice);
      this.svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
      this.svg.setAttribute("role", "img");
      this.svg.setAttribute("tabindex", "0");
      this.said = document.createElement("p");
      this.said.className = "said";
      this.said.setAttribute("aria-live", "polite");
      const legend = document.createElement("div");
      legend.className = "legend";
      this.buttons = new Map(); // by label
      for (const series of this.data.series) {
        const button = document.createElement("button");
        button.type = "button";
        button.className = "plain";
        button.setAttribute("aria-pressed", "true");
        const icon = svg("svg", { viewBox: "-8 -8 16 16", "aria-hidden": "true" }, button);
        mark(series, 0, 0, icon);
        button.append(series.label);
        button.addEventListener("click", () => {
          const shown = this.hidden.delete(series.label);
          if (!shown) this.hidden.add(series.label);
          button.setAttribute("aria-pressed", String(shown));
          this.draw();
        });
        this.buttons.set(series.label, button);
        legend.append(button);
      }
      this.element.append(bar, this.svg, this.said, legend);
      this.svg.addEventListener("pointermove", (event) => this.near(event));
      this.svg.addEventListener("pointerleave", () => this.point(-1));
      this.svg.addEventListener("keydown", (event) => {
        const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
        if (!step || !this.places.length) return;
        event.preventDefault();
        this.point((this.current + step + this.places.length) % this.places.length);
      });
    }

    lines() { // [series, [x, y, words][], name] of what is shown
      const score = this.score.name, found = [];
      for (const series of this.data.series.filter((one) => Methods.shows(one.label) && !this.hidden.has(one.label))) {
        if (this.axis === "progress") {
          for (const curve of this.data.curves.filter((one) => one.label === series.label && one.views === this.views))
            found.push([series, curve.points.map(([x, y]) => [x, y, `${series.label}, ${curve.name}, ${x.toPrecision(3)} s: ${y.toFixed(2)} dB`]), curve.name]);
          continue;
        }
        const points = series.points.filter((point) => point[score] !== null && point[this.axis] > 0);
        found.push([series, points.map((point) => [point[this.axis], point[score], this.words(series, point), point.views]), series.label]);
      }
      return found.filter(([, points]) => points.length);
    }

    words(series, point) {
      const number = (value, digits) => (value === null ? "unknown" : value.toFixed(digits));
      return `${series.label}, ${point.views} views: ${this.score.heading} ${number(point[this.score.name], this.score.decimals)}, ${number(point.seconds, 1)} s, ${number(point.peak_memory_mb, 0)} MiB, ${point.runs} ${point.runs === 1 ? "run" : "runs"}`;
    }

    draw() {
      this.size = this.fitting();
      const { width, height } = this.size, heading = this.axis === "progress" ? "Volume PSNR [dB]" : this.score.heading;
      this.viewsChoice.hidden = this.axis !== "progress";
      for (const [label, button] of this.buttons) button.hidden = !Methods.shows(label);
      this.svg.replaceChildren();
      this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
      this.svg.setAttribute("aria-label", `${heading} against ${AXES[this.axis].toLowerCase()}; the left and right arrow keys read the points`);
      const lines = this.lines(), all = lines.flatMap(([, points]) => points);
      this.places = [];
      this.current = -1;
      this.said.textContent = "Point at a marker, or use the arrow keys, to read it.";
      if (!all.length) { svg("text", { x: width / 2, y: height / 2, "text-anchor": "middle" }, this.svg, "nothing to show"); return; }
      const range = (place) => [Math.min(...all.map((p) => p[place])), Math.max(...all.map((p) => p[place]))];
      let [left, right] = range(0), [low, high] = range(1);
      const pad = Math.max((high - low) * 0.08, 1e-3 * Math.abs(high) || 1e-3);
      [low, high] = [low - pad, high + pad];
      if (right / left < 1.5) [left, right] = [left / 1.5, right * 1.5];
      const inner = { w: width - EDGE.left - EDGE.right - 24, h: height - EDGE.top - EDGE.bottom };
      const x = (value) => EDGE.left + 12 + (inner.w * Math.log(value / left)) / Math.log(right / left);
      const y = (value) => EDGE.top + inner.h * (1 - (value - low) / (high - low));
      for (const tick of steps(low, high, 6)) {
        svg("line", { class: "grid", x1: EDGE.left, x2: width - EDGE.right, y1: y(tick), y2: y(tick) }, this.svg);
        svg("text", { x: EDGE.left - 6, y: y(tick) + 4, "text-anchor": "end" }, this.svg, String(tick));
      }
      let last = -99;
      for (const tick of this.axis === "views" ? [...new Set(all.map((p) => p[0]))].sort((a, b) => a - b) : logSteps(left, right)) {
        if (x(tick) - last < 34) continue;
        last = x(tick);
        svg("line", { class: "grid", x1: x(tick), x2: x(tick), y1: EDGE.top, y2: height - EDGE.bottom }, this.svg);
        svg("text", { x: x(tick), y: height - EDGE.bottom + 16, "text-anchor": "middle" }, this.svg, String(tick));
      }
      svg("text", { class: "title", x: (EDGE.left + width) / 2, y: height - 6, "text-anchor": "middle" }, this.svg, AXES[this.axis]);
      svg("text", { class: "title", transform: `translate(13 ${height / 2 - 12}) rotate(-90)`, "text-anchor": "middle" }, this.svg, heading);
      for (const [series, points] of lines) svg("polyline", { class: "line", stroke: series.colour, points: points.map((p) => `${x(p[0])},${y(p[1])}`).join(" ") }, this.svg);
      for (const [series, points] of lines) {
        const shown = this.axis === "progress" ? points.slice(-1) : points;
        for (const p of shown) mark(series, x(p[0]), y(p[1]), this.svg);
        if (this.axis === "seconds" || this.axis === "peak_memory_mb")
          for (const p of points) svg("text", { class: "beside", x: x(p[0]) + 8, y: y(p[1]) - 6 }, this.svg, String(p[3]));
        this.places.push(...points.map((p) => ({ x: x(p[0]), y: y(p[1]), words: p[2] })));
      }
      this.ring = svg("circle", { class: "ring", r: 9, visibility: "hidden" }, this.svg);
    }

    near(event) {
      if (!this.places.length) return;
      const box = this.svg.getBoundingClientRect(), scale = this.size.width / box.width;
      const at = { x: (event.clientX - box.left) * scale, y: (event.clientY - box.top) * scale };
      const distance = (place) => (place.x - at.x) ** 2 + (place.y - at.y) ** 2;
      let best = 0;
      this.places.forEach((place, index) => { if (distance(place) < distance(this.places[best])) best = index; });
      this.point(distance(this.places[best]) < 900 ? best : -1);
    }

    point(index) {
      this.current = index;
      const place = this.places[index];
      if (this.ring) this.ring.setAttribute("visibility", place ? "visible" : "hidden");
      if (!place) return;
      this.ring.setAttribute("cx", place.x);
      this.ring.setAttribute("cy", place.y);
      this.said.textContent = place.words;
    }
  }

  for (const element of document.querySelectorAll("[data-chart]")) new Chart(element, facts.charts[Number(element.dataset.chart)]);
}
