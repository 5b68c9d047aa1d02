// Controls: keys, buttons, zoom.

function fit() {
  state.view = { scale: 1, x: 0, y: 0 };
}

// Zooms about a point, given from the canvas's middle.
function zoom(factor, x = 0, y = 0) {
  const { view } = state;
  const scale = Math.min(64, Math.max(0.5, view.scale * factor));
  const by = scale / view.scale;
  state.view = { scale, x: x + (view.x - x) * by, y: y + (view.y - y) * by };
  show();
}

function toSlice(wanted) {
  const record = data.cases[state.current];
  const last = record.size[state.plane] - 1;
  state.at[state.plane] = numbered(record, Math.min(last, Math.max(0, wanted)));
  show();
}

function bySlices(by) {
  toSlice(numbered(data.cases[state.current], state.at[state.plane]) + by);
}

function toPlane(plane) {
  if (data.cases[state.current].size[2] < 2) return;
  state.plane = plane;
  byId("plane").value = plane;
  fit();
  show();
}

function resetGreys() {
  byId("window").value = 100;
  byId("level").value = 50;
  show();
}

function toggle(key) {
  const box = document.querySelectorAll("[data-layer]")[key];
  if (box) box.click();
}

function addToggles() {
  const entries = [
    ...KINDS.map(({ code, name }) => ({ key: code, name, on: true })),
    ...OUTLINES.map(({ bit, name, colour }) => ({ key: bit, name, line: colour, on: false })),
  ];
  entries.forEach(({ key, name, line, on }) => {
    const label = make("label");
    const box = make("input", { type: "checkbox", "data-layer": key });
    box.checked = on;
    box.onchange = () => {
      box.blur(); // keys belong to the page again
      show();
    };
    const swatch = make("span", { class: line ? "swatch line" : "swatch", "data-swatch": key });
    if (line) swatch.style.borderColor = line[0] === line[2] ? "#888" : `rgb(${line})`;
    label.append(box, swatch, name);
    byId("toggles").append(label);
  });
}

function recolour() {
  for (const { code } of KINDS) {
    document.querySelector(`[data-swatch="${code}"]`).style.background = colours()[code];
  }
  if (content) listWrong();
  show();
}

function addViews() {
  data.models.forEach((name) => {
    const figure = make("figure");
    const canvas = make("canvas", { "aria-label": `slice, ${name}` });
    figure.append(canvas, make("figcaption"));
    byId("views").append(figure);
    canvas.onwheel = (event) => {
      event.preventDefault();
      const box = canvas.getBoundingClientRect();
      const [x, y] = [event.clientX - box.x - box.width / 2, event.clientY - box.y - box.height / 2];
      zoom(Math.exp(-event.deltaY / 400), x, y);
    };
    canvas.onpointerdown = (event) => canvas.setPointerCapture(event.pointerId);
    canvas.onpointermove = (event) => {
      if (!event.buttons) return;
      state.view.x += event.movementX;
      state.view.y += event.movementY;
      show();
    };
  });
  new ResizeObserver(() => show()).observe(byId("views"));
}

function nextWrong(by) {
  const m = Math.max(0, state.chosen.findIndex((i) => i >= 0));
  jump(m, state.chosen[m] + by);
}

function hide(yes) {
  state.hidden = yes;
  show();
}

const KEYS = {
  ArrowLeft: () => bySlices(-1),
  ArrowRight: () => bySlices(1),
  a: () => toPlane(AXIAL),
  c: () => toPlane(CORONAL),
  s: () => toPlane(SAGITTAL),
  ArrowUp: () => step(-1),
  ArrowDown: () => step(1),
  n: () => nextWrong(1),
  p: () => nextWrong(-1),
  "+": () => zoom(1.25),
  "-": () => zoom(0.8),
  0: () => (fit(), show()),
  " ": () => hide(true),
};

document.addEventListener("keydown", (event) => {
  const { target, key } = event;
  if (event.ctrlKey || event.metaKey || event.altKey || state.current < 0) return;
  if (target.matches("input[type=search], select")) return;
  if (key === " " && target.matches("button, summary, input[type=checkbox]")) return;
  if (key.startsWith("Arrow") && target.matches("#opacity, #window, #level")) return;
  const action = KEYS[key];
  if (action) {
    event.preventDefault();
    action();
  } else if (key >= "1" && key <= "6") {
    toggle(Number(key) - 1);
  }
});
document.addEventListener("keyup", (event) => event.key === " " && state.hidden && hide(false));
window.addEventListener("blur", () => hide(false));

MEASURES.forEach(({ title }, i) => byId("metric").append(make("option", { value: i }, title)));
for (const name of Object.keys(data.colours)) {
  byId("palette").append(make("option", { value: name }, name.replace("_", "-")));
}
byId("palette").value = data.palette;
byId("palette").onchange = recolour;
byId("opacity").oninput = () => show();
byId("slice").oninput = () => toSlice(Number(byId("slice").value));
byId("plane").onchange = () => toPlane(Number(byId("plane").value));
byId("window").oninput = byId("level").oninput = () => show();
byId("reset").onclick = resetGreys;
byId("closer").onclick = () => zoom(1.25);
byId("farther").onclick = () => zoom(0.8);
byId("fit").onclick = () => (fit(), show());
byId("order").onsubmit = (event) => event.preventDefault();
byId("metric").onchange = byId("first").onchange = byId("filter").oninput = list;
for (const id of ["metric", "first", "palette", "plane"]) {
  byId(id).addEventListener("change", () => byId(id).blur()); // keys belong to the page again
}
// The case that a link to the page names behind its #.
function asked() {
  const name = location.hash.slice(1);
  const escaped = (letter) => `%${letter.charCodeAt(0).toString(16).toUpperCase()}`;
  const named = (id) => encodeURIComponent(id).replace(/[!'()*]/g, escaped);
  return state.order.find((index) => named(data.cases[index].id) === name);
}

addToggles();
addViews();
recolour();
list();
if (state.order.length) open(asked() ?? state.order[0]);
