"use strict";
// The page of a sweep under way: runs, losses and progress, from a script that benchmark/live writes anew every second.
{
  const block = document.getElementById("now"), said = block.querySelector(".said"), place = block.querySelector(".sweeps");
  const follow = block.querySelector("input"), own = block.dataset.page, file = location.protocol === "file:";
  const SCRIPT = "now.js", EVERY = 1000, STALE = 20000, CALM = 3000, AGAIN = 5000; // [ms]
  const opened = Date.now();
  let beat = null, since = Date.now(), touched = 0, heard = false, alive = 1;

  const add = (parent, name, text, kind) => {
    const node = document.createElement(name);
    if (text !== undefined) node.textContent = text;
    if (kind) node.className = kind;
    parent.append(node);
    return node;
  };
  const say = (text) => { if (said.textContent !== text) said.textContent = text; }; // a screen reader reads changes only
  const number = (value, digits) => (typeof value === "number" ? value.toPrecision(digits) : String(value));
  const time = (seconds) => (seconds < 100 ? `${seconds.toFixed(0)} s` : seconds < 6000 ? `${(seconds / 60).toFixed(0)} min` : `${(seconds / 3600).toFixed(1)} h`);

  // A small curve against seconds; losses on a logarithmic axis where all are positive.
  const curve = (parent, name, points, words, log) => {
    if (!Array.isArray(points) || points.length < 2) return;
    const WIDE = 220, HIGH = 56, y = log && points.every((p) => p[1] > 0) ? (p) => Math.log(p[1]) : (p) => p[1];
    const range = (values) => { const low = Math.min(...values), high = Math.max(...values); return [low, high - low || 1]; };
    const [left, width] = range(points.map((p) => p[0])), [low, height] = range(points.map(y));
    const svg = (kind, attributes, above) => {
      const node = document.createElementNS("http://www.w3.org/2000/svg", kind);
      for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
      above.append(node);
      return node;
    };
    const figure = add(parent, "figure", undefined, "curve"), drawing = svg("svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, preserveAspectRatio: "none", role: "img" }, figure);
    const text = `${name} from ${words(points[0][1])} to ${words(points[points.length - 1][1])}`;
    drawing.setAttribute("aria-label", text);
    svg("polyline", { points: points.map((p) => `${(2 + ((WIDE - 4) * (p[0] - left)) / width).toFixed(1)},${(HIGH - 3 - ((HIGH - 6) * (y(p) - low)) / height).toFixed(1)}`).join(" ") }, drawing);
    add(figure, "figcaption", text);
  };

  const run = (parent, facts) => {
    const card = add(parent, "div", undefined, "run");
    add(card, "strong", facts.title);
    if (facts.total) {
      const bar = add(card, "progress");
      Object.assign(bar, { max: facts.total, value: facts.step || 0 });
      bar.setAttribute("aria-label", `steps of ${facts.title}`);
    }
    const latest = (points) => (Array.isArray(points) && points.length ? points[points.length - 1][1] : null);
    const heldout = latest(facts.projection_psnr), volume = latest(facts.volume_psnr), fit = latest(facts.fit_psnr);
    const parts = [
      facts.step === undefined ? "starting" : `step ${facts.step}${facts.total ? ` of ${facts.total}` : ""}`,
      ...(typeof facts.seconds === "number" ? [time(facts.seconds)] : []),
      ...(facts.seconds_left ? [`${time(facts.seconds_left)} to go`] : []),
      ...(facts.loss === undefined ? [] : [`loss ${number(facts.loss, 4)}`]),
      ...[["volume", volume], ["held-out", heldout], ["fit", fit]].filter(([, value]) => value !== null).map(([name, value]) => `${name} ${value.toFixed(2)} dB`),
    ];
    add(card, "span", parts.join(", "), "value");
    const curves = add(card, "div", undefined, "curves");
    curve(curves, "loss", facts.losses, (v) => number(v, 3), true);
    curve(curves, "volume PSNR", facts.volume_psnr, (v) => `${v.toFixed(2)} dB`);
    curve(curves, "held-out PSNR", facts.projection_psnr, (v) => `${v.toFixed(2)} dB`);
  };

  const sweep = (facts, several) => {
    const part = add(place, "div");
    if (several) add(part, "h3", `Sweep of process ${facts.process} on ${facts.host}`);
    if (facts.total) {
      const bar = add(part, "progress", undefined, "whole");
      Object.assign(bar, { max: facts.total, value: facts.done });
      bar.setAttribute("aria-label", "runs of the sweep");
    }
    const runs = add(part, "div", undefined, "runs");
    for (const one of facts.runs || []) run(runs, one);
    if (!(facts.ended || []).length) return;
    add(part, "h3", "Latest ends of runs");
    const list = add(part, "ul");
    for (const one of [...facts.ended].reverse()) add(list, "li", `${one.title}: ${one.text}`, one.status === "failed" ? "bad" : "");
  };

  const words = (facts) => {
    if (!facts.total) return facts.loading ? `Loading ${facts.loading}.` : "A sweep begins.";
    const bad = [["failed", facts.failed], ["skipped", facts.skipped]].filter(([, count]) => count).map(([name, count]) => `, ${count} ${name}`).join("");
    return `${facts.done} of ${facts.total} runs done${bad}.`;
  };

  window.sweepNow = (facts) => {
    heard = true;
    if (facts.ended) { location.reload(); return; } // once: what comes has no such block
    if (facts.beat !== beat) [beat, since] = [facts.beat, Date.now()];
    const sweeps = facts.sweeps || [];
    const news = facts.page && facts.page !== own;
    say([...sweeps.map(words), ...(facts.problem ? [facts.problem] : []), ...(news && !follow.checked ? ["There are new results: load the page again."] : [])].join(" ") || "The sweep has ended; the finished page is being made.");
    alive = sweeps.length;
    place.replaceChildren();
    for (const one of sweeps) sweep(one, sweeps.length > 1);
    block.dataset.beat = facts.beat;
    if (news && follow.checked && Date.now() - touched > CALM && Date.now() - opened > AGAIN) location.reload();
  };

  const ask = () => {
    const script = document.createElement("script");
    script.onload = () => { script.remove(); setTimeout(ask, EVERY); };
    script.onerror = () => {
      script.remove();
      if (file && heard) { location.reload(); return; } // the file is now the finished page
      say("No news any more: the sweep, or what kept this page current, has ended. The finished page is report.html in the results folder.");
      setTimeout(ask, 5 * EVERY);
    };
    script.src = `${SCRIPT}?${Date.now()}`;
    document.head.append(script);
    if (alive && Date.now() - since > STALE) say("No news for a while: what kept this page current has stopped.");
  };

  for (const kind of ["pointerdown", "keydown", "wheel", "touchmove"]) document.addEventListener(kind, () => { touched = Date.now(); }, { passive: true });
  ask();
}
