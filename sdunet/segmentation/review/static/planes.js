// Planes: axial slices as they are given; coronal and sagittal ones are put together from all of them.

// What lies across a plane and what down it.
const AXES_OF = { [SAGITTAL]: [1, 2], [CORONAL]: [0, 2], [AXIAL]: [0, 1] };

// The patient's directions to the left, right, top and bottom of a plane.
const DIRECTIONS_OF = { [SAGITTAL]: "APSI", [CORONAL]: "RLSI", [AXIAL]: "RLAP" };

const planeSize = (record, plane = state.plane) => AXES_OF[plane].map((axis) => record.size[axis]);

// Slices are counted towards the patient's head, front and right; rows and columns of a plane run the
// other way. The same turns a number into a place and a place into a number.
function numbered(record, place, plane = state.plane) {
  return plane === AXIAL ? place : record.size[plane] - 1 - place;
}

// Where a voxel (column, row, slice) is seen in a plane.
function seenAt(record, voxel, plane = state.plane) {
  const [across, down] = AXES_OF[plane];
  return [voxel[across], plane === AXIAL ? voxel[down] : record.size[down] - 1 - voxel[down]];
}

function sliceOf({ index, given }, z) {
  const [width, height] = data.cases[index].size;
  const codes = given.models.map((model) => codesOf(model.codes[z], width * height));
  return Promise.all([decode(given.image[z]), ...codes]);
}

function volumeOf(shown) {
  const slices = shown.given.image.map((_, z) => sliceOf(shown, z));
  shown.volume ??= Promise.all(slices);
  return shown.volume;
}

// Strips of each slice's picture, drawn and never read back: some browsers change what is read.
function imageAcross(slices, record, plane, place) {
  const [width, height] = planeSize(record, plane);
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = false;
  if (plane === SAGITTAL) context.setTransform(0, 1, 1, 0, 0, 0); // columns become rows
  slices.forEach(([image], z) => {
    const line = height - 1 - z;
    if (plane === CORONAL) context.drawImage(image, 0, place, width, 1, 0, line, width, 1);
    else context.drawImage(image, place, 0, 1, width, line, 0, 1, width);
  });
  return canvas;
}

function codesAcross(slices, m, record, plane, place) {
  const [width, height] = planeSize(record, plane);
  const [columns] = record.size;
  const codes = new Uint16Array(width * height);
  slices.forEach((slice, z) => {
    const line = (height - 1 - z) * width;
    for (let i = 0; i < width; i++) {
      codes[line + i] = slice[m + 1][plane === CORONAL ? place * columns + i : i * columns + place];
    }
  });
  return codes;
}

async function across(shown, plane, place) {
  const record = data.cases[shown.index];
  const slices = await volumeOf(shown);
  const codes = data.models.map((_, m) => codesAcross(slices, m, record, plane, place));
  return [imageAcross(slices, record, plane, place), ...codes];
}

// The image of a plane and the codes of each model.
function picturesOf(shown, plane, place) {
  const key = `${plane} ${place}`;
  const { pictures } = shown;
  if (!pictures.has(key)) {
    pictures.set(key, plane === AXIAL ? sliceOf(shown, place) : across(shown, plane, place));
    if (pictures.size > SLICES) pictures.delete(pictures.keys().next().value);
  }
  return pictures.get(key);
}
