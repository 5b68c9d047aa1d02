// Drawing: layers of errors and outlines over the slices.

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

// A bar of a round length in millimetres, or in pixels of 2D images, of about a fifth of the canvas.
function drawScale(context, canvas, record, w) {
  const unit = record.width === null ? "px" : "mm";
  const each = w / (record.width ?? 1); // pixels of the screen
  const most = canvas.width / 5 / each;
  const ten = 10 ** Math.floor(Math.log10(most));
  const length = [5, 2, 1].map((n) => n * ten).find((n) => n <= most);
  const [right, bottom] = [canvas.width - 12, canvas.height - 12];
  context.fillStyle = "white";
  context.strokeStyle = "black";
  context.lineWidth = 3;
  context.font = "12px system-ui, sans-serif";
  context.textAlign = "right";
  context.fillRect(right - length * each, bottom - 3, length * each, 3);
  context.strokeText(`${length} ${unit}`, right, bottom - 8);
  context.fillText(`${length} ${unit}`, right, bottom - 8);
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
  drawScale(context, canvas, record, w);
  const summary = record.models[m];
  const counts = KINDS.filter(({ code }) => summary.counts[code] || code < 4)
    .map(({ code, name }) => `${name} ${summary.counts[code]}`)
    .join(" · ");
  const dice = summary.dice.map((value, c) => `${className(c + 1)} ${number(value)}`).join(" · ");
  const state_ = summary.missing ? "no prediction, counted as missed" : `Dice: ${dice}`;
  const whose = data.models.length > 1 ? `${data.models[m]}\n` : "";
  canvas.nextElementSibling.textContent = `${whose}${state_}\n${counts}`;
}

