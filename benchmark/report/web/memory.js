"use strict";
// What a reader chose, kept by this browser for pages of the same title; where it keeps nothing, the page works all the same.
const Memory = {
  key: `seed: ${document.title}`,
  all() {
    try {
      const found = JSON.parse(localStorage.getItem(Memory.key));
      return found && typeof found === "object" ? found : {};
    } catch { return {}; } // refused, or not ours
  },
  get(name) { return Memory.all()[name]; },
  set(name, value) {
    try { localStorage.setItem(Memory.key, JSON.stringify({ ...Memory.all(), [name]: value })); } catch { /* refused or full */ }
  },
  forget() {
    try { localStorage.removeItem(Memory.key); } catch { /* refused: nothing was kept */ }
  },
};
