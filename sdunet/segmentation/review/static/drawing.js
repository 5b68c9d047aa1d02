// Drawing: layers of errors and outlines over the slices.

const colours = () => data.colours[byId("palette").value];
const rgb = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
const isOn = (key) => document.querySelector(`[data-layer="${key}"]`).checked;
const canvases = () => [...document.querySelectorAll("canvas")];
const CAN_FILTER = "filter" in CanvasRenderingContext2D.prototype;

async function show() {
  if (!content) return;
  const begun = performance.now();
  const shown = content;
  const { plane } = state;
  const place = state.at[plane];
  const record = data.cases[shown.index];
  const last = record.size[plane] - 1;
  byId("slice").max = last;
  byId("slice").value = numbered(record, place);
  byId("number").textContent = `${numbered(record, place)} of 0 to ${last}`;
  const grey = greys(record);
  const [image, ...codes] = await picturesOf(shown, plane, place);
  if (shown !== content || plane !== state.plane || place !== state.at[plane]) return; // overtaken
  const { models } = shown.given;
  canvases().forEach((canvas, m) => draw(canvas, record, image, grey, codes[m], models[m], m));
  // For whoever measures: which slice is on the screen, and how long that took.
  document.body.dataset.slice = numbered(record, place);
  document.body.dataset.plane = plane;
  document.body.dataset.case = record.id;
  document.body.dataset.paint = (performance.now() - begun).toFixed(2);
  for (const near of [place + 1, place - 1]) {
    if (near >= 0 && near <= last) picturesOf(shown, plane, near);
  }
}

// Window and level as a filter of the picture, whose black and white are the ends of record.window;
// their values, in the image's intensities, beside the sliders.
function greys(record) {
  if (record.window === null || !CAN_FILTER) return "none";
  const [black, white] = record.window;
  const share = Number(byId("window").value) / 100;
  const middle = Math.min(1 - share / 2, Math.max(share / 2, Number(byId("level").value) / 100));
  const digits = white - black > 20 ? 0 : 3;
  byId("window-value").textContent = (share * (white - black)).toFixed(digits);
  byId("level-value").textContent = (black + middle * (white - black)).toFixed(digits);
  // From black at middle - share / 2 to white at middle + share / 2, by CSS filter effects: a factor,
  // then a factor about one half.
  return `brightness(${1 / (2 * middle)}) contrast(${(2 * middle) / share})`;
}

function layer(codes, [width, height]) {
  const opacity = Math.round(2.55 * byId("opacity").value);
  const table = new Uint32Array(512); // code -> colour, little-endian RGBA
  const sides = AXES_OF[state.plane];
  for (let code = 0; code < 512; code++) {
    let colour = null;
    const kind = code & 7;
    if (data.kinds[kind] && isOn(kind)) colour = [...rgb(colours()[kind]), opacity];
    for (const line of OUTLINES) {
      const edge = sides.some((axis) => code & (line.bit << axis));
      if (edge && isOn(line.bit)) colour = [...line.colour, 255];
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
  const [width, height] = planeSize(record);
  const aspect = record.aspect[state.plane];
  const cell = Math.min(canvas.width / width, canvas.height / (height * aspect));
  const [w, h] = [cell * state.view.scale, cell * aspect * state.view.scale];
  const x = (canvas.width - w * width) / 2 + state.view.x;
  const y = (canvas.height - h * height) / 2 + state.view.y;
  return { x, y, w, h };
}

// Moves the cell of a piece to the middle of the canvases.
function centre(piece) {
  const canvas = canvases()[0];
  const record = data.cases[state.current];
  const { x, y, w, h } = placeOn(canvas, record);
  const [column, row] = seenAt(record, voxelOf(piece));
  state.view.x += canvas.width / 2 - (x + (column + 0.5) * w);
  state.view.y += canvas.height / 2 - (y + (row + 0.5) * h);
}

function write(context, text, x, y) {
  context.strokeText(text, x, y);
  context.fillText(text, x, y);
}

// Letters of the patient's directions at the sides of a canvas; pictures have none.
function drawDirections(context, canvas, record) {
  if (record.width[state.plane] === null) return;
  const [left, right, top, bottom] = DIRECTIONS_OF[state.plane];
  const { width, height } = canvas;
  context.textAlign = "center";
  write(context, left, 12, height / 2);
  write(context, right, width - 12, height / 2);
  write(context, top, width / 2, 18);
  write(context, bottom, width / 2, height - 8);
}

// A bar of a round length in millimetres, or in pixels of 2D images, of about a fifth of the canvas.
function drawScale(context, canvas, record, w) {
  const wide = record.width[state.plane];
  const unit = wide === null ? "px" : "mm";
  const each = w / (wide ?? 1); // pixels of the screen
  const most = canvas.width / 5 / each;
  const ten = 10 ** Math.floor(Math.log10(most));
  const length = [5, 2, 1].map((n) => n * ten).find((n) => n <= most);
  const [right, bottom] = [canvas.width - 12, canvas.height - 12];
  context.textAlign = "right";
  context.fillRect(right - length * each, bottom - 3, length * each, 3);
  write(context, `${length} ${unit}`, right, bottom - 8);
}

const voxelOf = ({ column, row, slice }) => [column, row, slice];

function draw(canvas, record, image, grey, codes, model, m) {
  const { clientWidth, clientHeight } = canvas;
  if (canvas.width !== clientWidth) canvas.width = clientWidth;
  if (canvas.height !== clientHeight) canvas.height = clientHeight;
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = false;
  context.clearRect(0, 0, canvas.width, canvas.height);
  const { x, y, w, h } = placeOn(canvas, record);
  const [width, height] = planeSize(record);
  context.filter = grey;
  context.drawImage(image, x, y, w * width, h * height);
  context.filter = "none";
  if (!state.hidden && KINDS.some(({ code }) => isOn(code))) {
    // Grey below the colours: on a stained section green over blue would read as a miss.
    context.globalCompositeOperation = "saturation";
    context.fillStyle = "gray";
    context.fillRect(x, y, w * width, h * height);
    context.globalCompositeOperation = "source-over";
  }
  if (!state.hidden) {
    context.drawImage(layer(codes, [width, height]), x, y, w * width, h * height);
    const piece = model.wrong[state.chosen[m]];
    if (piece && voxelOf(piece)[state.plane] === state.at[state.plane]) {
      const [column, row] = seenAt(record, voxelOf(piece));
      context.strokeStyle = "white";
      context.lineWidth = 2;
      context.beginPath();
      const radius = Math.max(14, 4 * w);
      context.arc(x + (column + 0.5) * w, y + (row + 0.5) * h, radius, 0, 2 * Math.PI);
      context.stroke();
    }
  }
  context.fillStyle = "white";
  context.strokeStyle = "black";
  context.lineWidth = 3;
  context.font = "12px system-ui, sans-serif";
  drawScale(context, canvas, record, w);
  drawDirections(context, canvas, record);
  const summary = record.models[m];
  const counts = KINDS.filter(({ code }) => summary.counts[code] || code < 4)
    .map(({ code, name }) => `${name} ${summary.counts[code]}`)
    .join(" · ");
  const dice = summary.dice.map((value, c) => `${data.scored[c]} ${number(value)}`).join(" · ");
  const state_ = summary.missing ? "no prediction, counted as missed" : `Dice: ${dice}`;
  const whose = data.models.length > 1 ? `${data.models[m]}\n` : "";
  canvas.nextElementSibling.textContent = `${whose}${state_}\n${counts}`;
}

