// What colours mean: by which measure the ops are coloured, and how its values are told.

const all = data.sides.flatMap((side) => side.ops);
// Of a box of several ops their sum counts.
const sums = (key) =>
  data.sides.flatMap((side) =>
    side.boxes.map(([, , ...members]) =>
      members.reduce((sum, i) => sum + (side.ops[i][key] || 0), 0),
    ),
  );
const largest = (key) => sums(key).reduce((most, sum) => Math.max(most, sum), 0);
const root = (key, most) => (value) =>
  most && value ? Math.max(1, Math.ceil(5 * Math.sqrt(value / most))) : 0;
const METRICS = {
  t: {
    name: "time",
    known: all.some((op) => op.t !== undefined),
    shade: root("t", largest("t")),
    show: time,
    sum: true,
    legend: `from none to ${time(largest("t"))}, by the square root`,
  },
  m: {
    name: "MACs",
    known: true,
    shade: root("m", largest("m")),
    show: (value) => `${human(value)} MACs`,
    sum: true,
    legend: `from none to ${human(largest("m"))}, by the square root`,
  },
  e: {
    name: "efficiency",
    known: all.some((op) => op.e !== undefined),
    shade: (value) => 1 + Math.min(4, Math.max(0, Math.floor(5 * (1 - value)))),
    show: (value) => `${Math.round(100 * value)} %`,
    legend:
      "the least time by the roofline over the measured time; light: near 100 %, dark: far below",
  },
  q: {
    name: "operations per byte",
    known: !all.some((op) => op.e !== undefined),
    shade: (value) => [32, 8, 2, 0.5].filter((limit) => value < limit).length + 1,
    show: (value) => `${trim(value)} per byte`,
    legend: "light: 32 and more, dark: below 0.5, where memory sets the pace",
  },
};
const keys = Object.keys(METRICS).filter((key) => METRICS[key].known);
let metric = keys[0];

const valueOf = (ops) => {
  const known = ops.map((op) => op[metric]).filter((value) => value !== undefined);
  if (!known.length) return undefined;
  return METRICS[metric].sum
    ? known.reduce((a, b) => a + b, 0)
    : known.reduce((a, b) => a + b, 0) / known.length;
};
const valueText = (ops, side) => {
  if (ops[0].io)
    return cut(
      (ops[0].s || "")
        .split(" = ")
        .pop()
        .replace(/^[a-z]+\d* /, ""),
      20,
    );
  const value = valueOf(ops);
  if (value !== undefined) return METRICS[metric].show(value);
  if (ops.length === 1 && ops[0].f !== undefined && (metric === "t" || metric === "e"))
    return `in ${cut(side.ops[ops[0].f].k, 12)}`;
  if (metric === "t" && ops.every((op) => op.kn === "folded")) return "computed before";
  return metric === "m" && ops.every((op) => op.u) ? "?" : "–";
};
