"use strict";
// Shared by all parts of the page, which follow one another; and the cases: one at a time is loaded
// from the folder beside the page.

const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const KINDS = Object.entries(data.kinds).map(([code, name]) => ({ code: Number(code), name }));
const OUTLINES = [
  { bit: 8, name: "reference outline", colour: [255, 217, 47] },
  { bit: 64, name: "predicted outline", colour: [255, 255, 255] },
]; // the bit of an edge along columns; rows and slices follow
const KEPT = 4; // cases in memory
const SLICES = 24; // decoded, of the case that is shown
// Axes: 0 columns, 1 rows, 2 slices of the axial planes. Each plane by the axis that it cuts.
const [SAGITTAL, CORONAL, AXIAL] = [0, 1, 2];

const state = {
  order: [], // numbers of the cases in the list, as sorted and filtered
  current: -1,
  plane: AXIAL,
  at: [0, 0, 0], // the voxel that planes are cut through: column, row, slice
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
  if (base64 === null) return new Uint16Array(cells);
  const packed = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint16Array(await new Response(stream).arrayBuffer());
}

async function open(index) {
  const record = data.cases[index];
  state.current = index;
  state.at = [...record.start];
  state.chosen = data.models.map(() => -1);
  content = null;
  byId("title").textContent = record.id;
  for (const button of byId("cases").querySelectorAll("button")) {
    const mine = Number(button.dataset.index) === index;
    button.setAttribute("aria-current", mine);
    if (mine) button.scrollIntoView({ block: "nearest" });
  }
  byId("slices").hidden = byId("planes").hidden = record.size[2] < 2;
  byId("greys").hidden = record.window === null || !CAN_FILTER;
  fit();
  clear();
  await new Promise((done) => setTimeout(done, 30)); // a key held down passes cases by
  if (state.current !== index) return;
  try {
    const given = await load(index);
    if (state.current !== index) return;
    content = { index, given, pictures: new Map(), volume: null };
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

