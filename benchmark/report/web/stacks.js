"use strict";
// Stacks of images embedded as text: benchmark/report/stack.py writes them.
const LEVELS = 1024; // as in stack.py

class Stack {
  static facts = JSON.parse(document.getElementById("facts").textContent).stacks;
  static known = new Map(); // promises by name
  static ready = new Map();
  static hurry = false; // before printing, which waits for no promise

  static load(name) { // a promise of the unpacked stack, the same for everyone who asks; in a hurry already kept
    if (Stack.hurry && !Stack.ready.has(name)) Stack.keep(name, inflate(Stack.packed(name), 2 * Stack.facts[name].shape.reduce((a, b) => a * b)));
    if (Stack.ready.has(name)) return Promise.resolve(Stack.ready.get(name));
    if (!Stack.known.has(name)) Stack.known.set(name, Stack.unpack(name));
    return Stack.known.get(name);
  }

  static packed(name) { return Uint8Array.from(atob(document.getElementById(`stack-${name}`).textContent), (letter) => letter.charCodeAt(0)); }

  static keep(name, bytes) {
    if (!Stack.ready.has(name)) Stack.ready.set(name, new Stack(Stack.facts[name], bytes));
    return Stack.ready.get(name);
  }

  static async unpack(name) {
    const stream = new Blob([Stack.packed(name)]).stream().pipeThrough(new DecompressionStream("deflate"));
    return Stack.keep(name, new Uint8Array(await new Response(stream).arrayBuffer()));
  }

  constructor({ shape, low, step }, bytes) {
    Object.assign(this, { shape, low, step });
    const count = shape[0] * shape[1] * shape[2];
    this.levels = new Uint16Array(count);
    for (let i = 0; i < count; i++) this.levels[i] = bytes[i] + 256 * bytes[count + i];
  }

  value([z, y, x]) { return this.low + this.step * this.levels[(z * this.shape[1] + y) * this.shape[2] + x]; }

  // Calls put(place in the image, index into levels) for the slice across an axis; the last row comes first, as +z and +y are up.
  slice(axis, index, put) {
    const [, rows, columns] = this.shape, strides = [rows * columns, columns, 1];
    const [down, along] = [[1, 2], [0, 2], [0, 1]][axis];
    const height = this.shape[down], width = this.shape[along];
    for (let row = 0; row < height; row++) {
      let from = index * strides[axis] + (height - 1 - row) * strides[down];
      for (let column = 0; column < width; column++, from += strides[along]) put(row * width + column, from);
    }
  }
}
