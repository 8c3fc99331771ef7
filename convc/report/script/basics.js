// What all parts use: the data of the page, and how things are made and written.

const data = JSON.parse(document.getElementById("data").textContent);
const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 152,
  HEIGHT = 52,
  READABLE = 0.7,
  FAR = 0.35,
  ROWS = 300;
const still = matchMedia("(prefers-reduced-motion: reduce)");
const titles = data.sides.length > 1 ? ["Before", "After"] : ["The network"];

const make = (tag, attributes = {}, ...children) => {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
};
const draw = (tag, attributes = {}, text) => {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  return element;
};
const human = (number, unit = "") => {
  if (number === undefined) return "?";
  for (const [letter, size] of [
    ["G", 1e9],
    ["M", 1e6],
    ["k", 1e3],
  ])
    if (Math.abs(number) >= size) return `${trim(number / size)} ${letter}${unit}`;
  return `${trim(number)}${unit ? " " + unit : ""}`;
};
const trim = (number) => String(Number(number.toPrecision(3)));
const time = (seconds) =>
  seconds >= 1e-3 ? `${trim(seconds * 1e3)} ms` : `${trim(seconds * 1e6)} µs`;
const cut = (text, length) => (text.length <= length ? text : `…${text.slice(1 - length)}`);
const short = (text, length) => (text.length <= length ? text : `${text.slice(0, length - 1)}…`);
const called = (op) => (op.n ? `${op.k} ${op.n}` : op.k);
const count = (number, what) => `${number} ${what}${number === 1 ? "" : "s"}`;
const kindsOf = (ops) => short([...new Set(ops.map((op) => op.k))].join(", "), 22);
