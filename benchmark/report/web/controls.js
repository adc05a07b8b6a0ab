"use strict";
// Labelled controls that the charts and the viewers share.
const choices = (name, legend, options, first, changed) => {
  const field = document.createElement("fieldset");
  field.className = "choices";
  const head = document.createElement("legend");
  head.textContent = legend;
  field.append(head);
  for (const [value, text] of options) {
    const label = document.createElement("label"), input = document.createElement("input"), shown = document.createElement("span");
    Object.assign(input, { type: "radio", name, value, checked: value === first });
    input.addEventListener("change", () => changed(value));
    shown.textContent = text;
    label.append(input, shown);
    field.append(label);
  }
  return field;
};

const select = (id, text, options, first, changed) => {
  const label = document.createElement("label"), list = document.createElement("select");
  label.className = "field";
  label.append(text, list);
  list.id = id;
  for (const [value, words] of options) list.append(new Option(words, value, value === first, value === first));
  list.addEventListener("change", () => changed(list.value));
  return label;
};

// A slider; `words` formats its value. Returns the element and a function that sets it from outside.
const slider = (text, low, high, step, first, words, changed) => {
  const label = document.createElement("label"), input = document.createElement("input"), output = document.createElement("output");
  const head = document.createElement("span");
  label.className = "field";
  head.append(`${text} `, output);
  Object.assign(input, { type: "range", min: low, max: high, step });
  const set = (value) => {
    input.value = value;
    output.textContent = words(value);
    input.setAttribute("aria-valuetext", words(value));
  };
  input.setAttribute("aria-label", text);
  input.addEventListener("input", () => { changed(Number(input.value)); });
  set(first);
  label.append(head, input);
  return { element: label, set };
};
