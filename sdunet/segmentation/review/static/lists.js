// Lists: cases by any score, and the wrong components of the case that is open.

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
  const scores = state.order.map(value).filter((score) => score !== null);
  const mean = scores.reduce((sum, score) => sum + score, 0) / scores.length;
  const told = scores.length ? `, mean of ${scores.length}: ${number(mean)}` : "";
  byId("shown").textContent = `${state.order.length} of ${data.cases.length} cases${told}`;
}

function step(by) {
  const place = state.order.indexOf(state.current) + by;
  if (place >= 0 && place < state.order.length) open(state.order[place]);
}

// Wrong components -----------------------------------------------------------------------------------

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
      table.append(make("caption", {}, `${whose}${all} wrong components${rest}`));
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
  state.at = voxelOf(piece);
  document.querySelectorAll("#wrong section").forEach((section, k) =>
    section.querySelectorAll("tbody tr").forEach((row, j) => {
      row.classList.toggle("chosen", k === m && j === i);
      if (k === m && j === i) row.scrollIntoView({ block: "nearest" });
    }),
  );
  if (state.view.scale > 1) centre(piece);
  show();
}

