"use strict";
// Lists cases, loads one at a time from the folder beside the page, and draws its slices.

const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const KINDS = Object.entries(data.kinds).map(([code, name]) => ({ code: Number(code), name }));
const OUTLINES = [
  { bit: 8, name: "reference outline", colour: [255, 217, 47] },
  { bit: 16, name: "predicted outline", colour: [255, 255, 255] },
];
const KEPT = 4; // cases in memory
const SLICES = 24; // decoded, of the case that is shown

const state = {
  order: [], // numbers of the cases in the list, as sorted and filtered
  current: -1,
  slice: 0,
  hidden: false,
  chosen: [], // per model, number of the wrong piece jumped to
  view: { scale: 1, x: 0, y: 0 }, // beyond fitting, in pixels of the screen
};
const loaded = new Map(); // number of a case -> promise of its content
const waiting = new Map(); // number of a case -> what its promise waits for
let content = null;

function make(tag, attributes = {}, text = null) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== null) element.textContent = text;
  return element;
}

const number = (value, digits = 4) => (value === null ? "–" : value.toFixed(digits));

// Cases ------------------------------------------------------------------------------------------

window.sdunetCase = (index, given) => waiting.get(index)?.(given);

function load(index) {
  if (!loaded.has(index)) {
    const promise = new Promise((resolve, reject) => {
      const { file } = data.cases[index];
      const script = make("script", { src: file });
      const end = (trouble) => {
        script.remove();
        waiting.delete(index);
        reject(new Error(trouble)); // does nothing where the case has handed itself over
      };
      waiting.set(index, resolve);
      script.onerror = () => end(`${file} is not beside this page`);
      script.onload = () => end(`${file} is damaged`);
      document.head.append(script);
    });
    promise.catch(() => loaded.delete(index));
    loaded.set(index, promise);
    if (loaded.size > KEPT) loaded.delete(loaded.keys().next().value);
  }
  return loaded.get(index);
}

async function decode(base64) {
  const image = new Image();
  image.src = `data:image/png;base64,${base64}`;
  await image.decode();
  return image;
}

// Codes are unpacked, not drawn and read back: some browsers change what is read from a canvas.
async function codesOf(base64, cells) {
  if (base64 === null) return new Uint8Array(cells);
  const packed = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

function slicePictures({ index, given, pictures }, z) {
  const [width, height] = data.cases[index].size;
  if (!pictures.has(z)) {
    const codes = given.models.map((model) => codesOf(model.codes[z], width * height));
    pictures.set(z, Promise.all([decode(given.image[z]), ...codes]));
    if (pictures.size > SLICES) pictures.delete(pictures.keys().next().value);
  }
  return pictures.get(z);
}

async function open(index) {
  const record = data.cases[index];
  state.current = index;
  state.slice = record.start;
  state.chosen = data.models.map(() => -1);
  content = null;
  byId("title").textContent = record.id;
  for (const button of byId("cases").querySelectorAll("button")) {
    const mine = Number(button.dataset.index) === index;
    button.setAttribute("aria-current", mine);
    if (mine) button.scrollIntoView({ block: "nearest" });
  }
  byId("slices").hidden = record.size[2] < 2;
  byId("slice").max = record.size[2] - 1;
  fit();
  clear();
  await new Promise((done) => setTimeout(done, 30)); // a key held down passes cases by
  if (state.current !== index) return;
  try {
    const given = await load(index);
    if (state.current !== index) return;
    content = { index, given, pictures: new Map() };
  } catch (error) {
    if (state.current === index) byId("title").textContent = `${record.id}: ${error.message}`;
    return;
  }
  listWrong();
  await show();
}

// Takes everything of the case before from the screen.
function clear() {
  byId("wrong").replaceChildren();
  for (const canvas of canvases()) {
    canvas.getContext("2d").clearRect(0, 0, canvas.width, canvas.height);
    canvas.nextElementSibling.textContent = "";
  }
}

// List -------------------------------------------------------------------------------------------

// What cases can be sorted by: each score of each model, and differences where there are two.
function measures() {
  const result = [];
  data.models.forEach((model, m) => {
    for (const { name, label, best } of data.metrics) {
      const title = data.models.length > 1 ? `${label}, ${model}` : label;
      result.push({ title, best, of: (record) => record.models[m].scores[name] });
    }
  });
  if (data.models.length > 1) {
    for (const { name, label, best } of data.metrics) {
      // Rightly predicting nothing has no score, and is as good as can be beside a false alarm.
      const of = ({ models: [a, b] }) =>
        a.scores[name] === null && b.scores[name] === null
          ? null
          : (b.scores[name] ?? best) - (a.scores[name] ?? best);
      result.push({ title: `${label}, ${data.models[1]} - ${data.models[0]}`, best, of });
    }
  }
  return result;
}

const MEASURES = measures();

function list() {
  const measure = MEASURES[byId("metric").value];
  const wanted = byId("filter").value.toLowerCase();
  const direction = (byId("first").value === "worst") === (measure.best === 1) ? 1 : -1;
  const value = (index) => measure.of(data.cases[index]);
  state.order = data.cases
    .map((_, index) => index)
    .filter((index) => data.cases[index].id.toLowerCase().includes(wanted));
  state.order.sort((a, b) => {
    const [u, v] = [value(a), value(b)];
    if (u === null || v === null) return (u === null) - (v === null); // without a score: last
    return direction * (u - v);
  });
  byId("cases").replaceChildren(
    ...state.order.map((index) => {
      const item = make("li");
      const button = make("button", { type: "button", title: data.cases[index].id });
      button.dataset.index = index;
      button.setAttribute("aria-current", index === state.current);
      button.append(make("span", { class: "name" }, data.cases[index].id));
      button.append(make("span", { class: "score" }, number(value(index))));
      button.onclick = () => open(index);
      item.append(button);
      return item;
    }),
  );
  byId("shown").textContent = `${state.order.length} of ${data.cases.length} cases`;
}

function step(by) {
  const place = state.order.indexOf(state.current) + by;
  if (place >= 0 && place < state.order.length) open(state.order[place]);
}

// Wrong pieces -----------------------------------------------------------------------------------

const className = (value) => data.names[value] ?? String(value);

function describe(piece) {
  if (piece.kind === 4) return `${className(piece.predicted)}, is ${className(piece.reference)}`;
  return className(piece.predicted || piece.reference);
}

function listWrong() {
  const record = data.cases[state.current];
  byId("wrong").replaceChildren(
    ...content.given.models.map((model, m) => {
      const section = make("section");
      const table = make("table");
      const all = record.models[m].wrong;
      const rest = all > model.wrong.length ? `, the largest ${model.wrong.length} shown` : "";
      const whose = data.models.length > 1 ? `${data.models[m]}: ` : "";
      table.append(make("caption", {}, `${whose}${all} wrong pieces${rest}`));
      const volume = record.unit === "ml";
      const head = ["", "class", volume ? "ml" : "px", volume ? "slice" : ""];
      head.push(volume ? "x, y, z in mm" : "column, row", "probability");
      const line = make("tr");
      for (const text of head) line.append(make("th", {}, text));
      const top = make("thead");
      top.append(line);
      const body = make("tbody");
      model.wrong.forEach((piece, i) => body.append(rowOf(piece, m, i, volume)));
      table.append(top, body);
      section.append(table);
      return section;
    }),
  );
}

function rowOf(piece, m, i, volume) {
  const row = make("tr", { tabindex: 0 });
  const kind = make("td");
  const swatch = make("span", { class: "swatch" });
  swatch.style.background = colours()[piece.kind];
  kind.append(swatch, ` ${data.kinds[piece.kind]}`);
  row.append(kind, make("td", {}, describe(piece)));
  row.append(make("td", {}, volume ? piece.volume.toPrecision(3) : String(piece.cells)));
  row.append(make("td", {}, volume ? String(piece.slice) : ""));
  row.append(make("td", {}, piece.at.join(", ")), make("td", {}, number(piece.chance, 2)));
  row.onclick = () => jump(m, i);
  row.onkeydown = (event) => event.key === "Enter" && jump(m, i);
  return row;
}

function jump(m, i) {
  const piece = content?.given.models[m].wrong[i];
  if (!piece) return;
  state.chosen = data.models.map((_, k) => (k === m ? i : -1));
  state.slice = piece.slice;
  document.querySelectorAll("#wrong section").forEach((section, k) =>
    section.querySelectorAll("tbody tr").forEach((row, j) => {
      row.classList.toggle("chosen", k === m && j === i);
      if (k === m && j === i) row.scrollIntoView({ block: "nearest" });
    }),
  );
  if (state.view.scale > 1) centre(piece);
  show();
}

// Drawing ----------------------------------------------------------------------------------------

const colours = () => data.colours[byId("palette").value];
const rgb = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
const isOn = (key) => document.querySelector(`[data-layer="${key}"]`).checked;
const canvases = () => [...document.querySelectorAll("canvas")];

async function show() {
  if (!content) return;
  const begun = performance.now();
  const shown = content;
  const z = state.slice;
  const record = data.cases[shown.index];
  byId("slice").value = z;
  byId("number").textContent = `${z} of 0 to ${record.size[2] - 1}`;
  const [image, ...codes] = await slicePictures(shown, z);
  if (shown !== content || z !== state.slice) return; // overtaken by a later step
  const { models } = shown.given;
  canvases().forEach((canvas, m) => draw(canvas, record, image, codes[m], models[m], m));
  // For whoever measures: which slice is on the screen, and how long that took.
  document.body.dataset.slice = z;
  document.body.dataset.case = record.id;
  document.body.dataset.paint = (performance.now() - begun).toFixed(2);
  for (const near of [z + 1, z - 1]) {
    if (near >= 0 && near < record.size[2]) slicePictures(shown, near);
  }
}

function layer(codes, [width, height]) {
  const opacity = Math.round(2.55 * byId("opacity").value);
  const table = new Uint32Array(32); // code -> colour, little-endian RGBA
  for (let code = 0; code < 32; code++) {
    let colour = null;
    const kind = code & 7;
    if (data.kinds[kind] && isOn(kind)) colour = [...rgb(colours()[kind]), opacity];
    for (const line of OUTLINES) {
      if (code & line.bit && isOn(line.bit)) colour = [...line.colour, 255];
    }
    if (colour) table[code] = (colour[3] << 24) | (colour[2] << 16) | (colour[1] << 8) | colour[0];
  }
  const pixels = new ImageData(width, height);
  const words = new Uint32Array(pixels.data.buffer);
  for (let i = 0; i < codes.length; i++) words[i] = table[codes[i]];
  const canvas = new OffscreenCanvas(width, height);
  canvas.getContext("2d").putImageData(pixels, 0, 0);
  return canvas;
}

// Where a slice lies on a canvas: its left upper corner and the size of a cell.
function placeOn(canvas, record) {
  const [width, height] = record.size;
  const cell = Math.min(canvas.width / width, canvas.height / (height * record.aspect));
  const [w, h] = [cell * state.view.scale, cell * record.aspect * state.view.scale];
  const x = (canvas.width - w * width) / 2 + state.view.x;
  const y = (canvas.height - h * height) / 2 + state.view.y;
  return { x, y, w, h };
}

// Moves the cell of a piece to the middle of the canvases.
function centre(piece) {
  const canvas = canvases()[0];
  const { x, y, w, h } = placeOn(canvas, data.cases[state.current]);
  state.view.x += canvas.width / 2 - (x + (piece.column + 0.5) * w);
  state.view.y += canvas.height / 2 - (y + (piece.row + 0.5) * h);
}

function draw(canvas, record, image, codes, model, m) {
  const { clientWidth, clientHeight } = canvas;
  if (canvas.width !== clientWidth) canvas.width = clientWidth;
  if (canvas.height !== clientHeight) canvas.height = clientHeight;
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = false;
  context.clearRect(0, 0, canvas.width, canvas.height);
  const { x, y, w, h } = placeOn(canvas, record);
  const [width, height] = record.size;
  context.drawImage(image, x, y, w * width, h * height);
  if (!state.hidden && KINDS.some(({ code }) => isOn(code))) {
    // Grey below the colours: on a stained section green over blue would read as a miss.
    context.globalCompositeOperation = "saturation";
    context.fillStyle = "gray";
    context.fillRect(x, y, w * width, h * height);
    context.globalCompositeOperation = "source-over";
  }
  if (!state.hidden) {
    context.drawImage(layer(codes, record.size), x, y, w * width, h * height);
    const piece = model.wrong[state.chosen[m]];
    if (piece && piece.slice === state.slice) {
      context.strokeStyle = "white";
      context.lineWidth = 2;
      context.beginPath();
      const radius = Math.max(14, 4 * w);
      context.arc(x + (piece.column + 0.5) * w, y + (piece.row + 0.5) * h, radius, 0, 2 * Math.PI);
      context.stroke();
    }
  }
  const summary = record.models[m];
  const counts = KINDS.filter(({ code }) => summary.counts[code] || code < 4)
    .map(({ code, name }) => `${name} ${summary.counts[code]}`)
    .join(" · ");
  const dice = summary.dice.map((value, c) => `${className(c + 1)} ${number(value)}`).join(" · ");
  const state_ = summary.missing ? "no prediction, counted as missed" : `Dice: ${dice}`;
  const whose = data.models.length > 1 ? `${data.models[m]}\n` : "";
  canvas.nextElementSibling.textContent = `${whose}${state_}\n${counts}`;
}

// Controls ---------------------------------------------------------------------------------------

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

function toSlice(z) {
  const last = data.cases[state.current].size[2] - 1;
  state.slice = Math.min(last, Math.max(0, z));
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
  ArrowLeft: () => toSlice(state.slice - 1),
  ArrowRight: () => toSlice(state.slice + 1),
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
  if (key.startsWith("Arrow") && target.matches("#opacity")) return;
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
byId("closer").onclick = () => zoom(1.25);
byId("farther").onclick = () => zoom(0.8);
byId("fit").onclick = () => (fit(), show());
byId("order").onsubmit = (event) => event.preventDefault();
byId("metric").onchange = byId("first").onchange = byId("filter").oninput = list;
for (const id of ["metric", "first", "palette"]) {
  byId(id).addEventListener("change", () => byId(id).blur()); // keys belong to the page again
}
addToggles();
addViews();
recolour();
list();
if (state.order.length) open(state.order[0]);
