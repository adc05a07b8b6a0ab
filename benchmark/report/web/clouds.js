"use strict";
// Gaussians in three dimensions, drawn by WebGL 2 as ellipses, farthest first: benchmark/report/clouds.py writes them.
{
  const facts = JSON.parse(document.getElementById("facts").textContent).clouds;
  const NUMBERS = 13, STEP = 0.12; // [rad] of an arrow key
  const VERTEX = `#version 300 es
    layout(location = 0) in vec2 corner;
    layout(location = 1) in vec3 mean;
    layout(location = 2) in vec3 first;
    layout(location = 3) in vec3 second;
    layout(location = 4) in vec4 rgba;
    uniform mat3 turn;
    uniform vec2 zoom;
    uniform float size;
    out vec2 at;
    out vec4 colour;
    void main() { // the ellipse of three standard deviations, seen from far away: a linear map, so exact
      mat3 own = mat3(first, vec3(first.y, second.xy), vec3(first.z, second.yz)), seen = turn * own * transpose(turn);
      float a = seen[0][0], b = seen[0][1], c = seen[1][1], middle = (a + c) / 2.0, apart = length(vec2((a - c) / 2.0, b));
      vec2 axis = apart < 1e-7 * middle ? vec2(1, 0) : a > c ? normalize(vec2((a - c) / 2.0 + apart, b)) : normalize(vec2(b, (c - a) / 2.0 + apart));
      vec2 spread = size * sqrt(max(vec2(middle + apart, middle - apart), 1e-9));
      at = 3.0 * corner;
      colour = rgba;
      gl_Position = vec4(zoom * ((turn * mean).xy + at.x * spread.x * axis + at.y * spread.y * vec2(-axis.y, axis.x)), 0, 1);
    }`;
  const FRAGMENT = `#version 300 es
    precision highp float;
    in vec2 at;
    in vec4 colour;
    out vec4 painted;
    void main() {
      float alpha = colour.a * exp(-dot(at, at) / 2.0);
      if (alpha < 1.0 / 255.0) discard;
      painted = vec4(colour.rgb * alpha, alpha);
    }`;

  class CloudView {
    constructor(element, items) {
      Object.assign(this, { element, items, yaw: 0.6, pitch: 0.35, zoom: 1, size: 1 });
      const bar = document.createElement("div"), label = document.createElement("label"), pick = document.createElement("select");
      bar.className = "bar";
      label.className = "field";
      label.append("Run", pick);
      pick.append(...items.map((item, index) => new Option(item.label, index)));
      pick.addEventListener("change", () => this.open(items[Number(pick.value)]));
      const size = slider("size", 0.1, 2, 0.05, 1, (v) => `${Number(v).toFixed(2)} x`, (v) => { size.set(v); this.size = v; this.draw(); });
      bar.append(label, size.element);
      this.canvas = document.createElement("canvas");
      Object.assign(this.canvas, { width: 800, height: 560, tabIndex: 0, className: "cloud" });
      this.canvas.setAttribute("role", "img");
      this.said = document.createElement("p");
      this.said.className = "note";
      element.append(bar, this.canvas, this.said);
      this.gl = this.canvas.getContext("webgl2", { preserveDrawingBuffer: true });
      if (!this.gl) { this.canvas.remove(); this.said.textContent = "This view needs WebGL 2, which this browser does not offer."; element.dataset.ready = "none"; return; }
      this.prepare();
      this.listen();
      this.open(items[0]);
    }

    prepare() {
      const { gl } = this, program = gl.createProgram();
      for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
        const shader = gl.createShader(kind);
        gl.shaderSource(shader, source);
        gl.compileShader(shader);
        gl.attachShader(program, shader);
      }
      gl.linkProgram(program);
      if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(program));
      gl.useProgram(program);
      this.places = Object.fromEntries(["turn", "zoom", "size"].map((name) => [name, gl.getUniformLocation(program, name)]));
      gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
      gl.bufferData(gl.ARRAY_BUFFER, new Float32Array([-1, -1, 1, -1, -1, 1, 1, 1]), gl.STATIC_DRAW);
      gl.enableVertexAttribArray(0);
      gl.vertexAttribPointer(0, 2, gl.FLOAT, false, 0, 0);
      gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
      for (const [place, length, first] of [[1, 3, 0], [2, 3, 3], [3, 3, 6], [4, 4, 9]]) {
        gl.enableVertexAttribArray(place);
        gl.vertexAttribPointer(place, length, gl.FLOAT, false, 4 * NUMBERS, 4 * first);
        gl.vertexAttribDivisor(place, 1);
      }
      gl.enable(gl.BLEND);
      gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    }

    listen() {
      const { canvas } = this;
      canvas.addEventListener("pointerdown", (event) => canvas.setPointerCapture(event.pointerId));
      canvas.addEventListener("pointermove", (event) => { if (event.buttons) this.turn(-event.movementX / 150, event.movementY / 150); });
      canvas.addEventListener("dblclick", () => { Object.assign(this, { yaw: 0.6, pitch: 0.35, zoom: 1 }); this.draw(); });
      canvas.addEventListener("wheel", (event) => {
        if (event.ctrlKey) return; // that is the browser's zoom
        event.preventDefault();
        this.zoom = Math.min(20, Math.max(0.2, this.zoom * Math.exp(-event.deltaY / 600)));
        this.draw();
      }, { passive: false });
      canvas.addEventListener("keydown", (event) => {
        const move = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, STEP], ArrowDown: [0, -STEP] }[event.key];
        if (!move) return;
        event.preventDefault();
        this.turn(...move);
      });
    }

    turn(yaw, pitch) {
      this.yaw += yaw;
      this.pitch = Math.max(-Math.PI / 2, Math.min(Math.PI / 2, this.pitch + pitch));
      this.draw();
    }

    open(item) {
      const bytes = Uint8Array.from(atob(document.getElementById(`cloud-${item.cloud}`).textContent), (letter) => letter.charCodeAt(0));
      this.table = new Float32Array(bytes.buffer);
      const left = item.left ? `, the heaviest of ${item.count + item.left}` : "";
      this.said.textContent = `${item.count} Gaussians${left}, ${(2 * item.radius).toPrecision(3)} mm across. Drag or arrow keys turn, the wheel zooms, a double click resets.`;
      this.canvas.setAttribute("aria-label", `Gaussians of ${item.label}`);
      this.draw();
    }

    draw() {
      const { gl, table, canvas } = this, count = table.length / NUMBERS, [cy, sy, cp, sp] = [Math.cos(this.yaw), Math.sin(this.yaw), Math.cos(this.pitch), Math.sin(this.pitch)];
      const rows = [[-sy, cy, 0], [-sp * cy, -sp * sy, cp], [cp * cy, cp * sy, sp]]; // right, up, towards the viewer
      const depths = new Float32Array(count), order = Uint32Array.from(depths.keys()), sorted = new Float32Array(table.length);
      for (let k = 0; k < count; k++) depths[k] = rows[2].reduce((sum, part, axis) => sum + part * table[k * NUMBERS + axis], 0);
      order.sort((one, other) => depths[one] - depths[other]);
      order.forEach((k, place) => sorted.set(table.subarray(k * NUMBERS, (k + 1) * NUMBERS), place * NUMBERS));
      gl.bufferData(gl.ARRAY_BUFFER, sorted, gl.DYNAMIC_DRAW);
      gl.viewport(0, 0, canvas.width, canvas.height);
      gl.clearColor(0.1, 0.11, 0.13, 1);
      gl.clear(gl.COLOR_BUFFER_BIT);
      gl.uniformMatrix3fv(this.places.turn, false, [0, 1, 2].flatMap((column) => rows.map((row) => row[column])));
      gl.uniform2f(this.places.zoom, (0.92 * this.zoom * canvas.height) / canvas.width, 0.92 * this.zoom);
      gl.uniform1f(this.places.size, this.size);
      gl.drawArraysInstanced(gl.TRIANGLE_STRIP, 0, 4, count);
      this.element.dataset.ready = "true";
    }
  }

  const watch = new IntersectionObserver((entries) => entries.filter((one) => one.isIntersecting).forEach(({ target }) => {
    watch.unobserve(target);
    new CloudView(target, facts[Number(target.dataset.cloud)]);
  }), { rootMargin: "400px" });
  for (const element of document.querySelectorAll("[data-cloud]")) watch.observe(element);
}
