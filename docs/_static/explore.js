// The figure of the page "Sensors that fail": bars by method for a data set and a rate of loss.
// docs/conf.py writes two constants into the page: LOSS, the rows of tables/07_random_loss.csv, and
// LOOKS, the name and the colour of each method.
"use strict";

const LEFT = 140, WIDTH = 560, ROW = 34, TOP = 10;
const root = document.getElementById("explorer");
const sets = [...new Set(LOSS.map((row) => row.data_set))];
const methods = new Set(LOSS.map((row) => row.method));
const rates = [...new Set(LOSS.map((row) => Number(row.rate)))].sort((a, b) => a - b);

root.innerHTML = `
  <label>data set <select>${sets.map((name) => `<option>${name}</option>`).join("")}</select></label>
  <label>share of sensors that fail
    <input type="range" min="0" max="${rates.length - 1}" value="0" step="1"></label>
  <output></output>
  <svg role="img" viewBox="0 0 ${LEFT + WIDTH + 80} ${TOP + ROW * methods.size + 30}"></svg>`;
const [select, slider, output, svg] = ["select", "input", "output", "svg"].map((tag) => root.querySelector(tag));
select.value = sets.includes("handwritten") ? "handwritten" : sets[0];

function draw() {
  const rate = rates[slider.value];
  const ofSet = LOSS.filter((row) => row.data_set === select.value);
  const rows = ofSet.filter((row) => Number(row.rate) === rate).sort((a, b) => b.mean - a.mean);
  const isError = ofSet.every((row) => row.mean < 0); // an error, negated
  const start = isError ? Math.min(...ofSet.map((row) => row.low)) : 0;
  const end = isError ? Math.max(...ofSet.map((row) => row.high)) : 1;
  const x = (value) => LEFT + WIDTH * (Math.min(Math.max(value, start), end) - start) / (end - start);
  const bar = (row, i) => {
    const [name, color] = LOOKS[row.method];
    const y = TOP + ROW * i, middle = y + ROW / 2;
    return `<text x="${LEFT - 8}" y="${middle + 5}" text-anchor="end">${name}</text>
      <rect x="${LEFT}" y="${y + 5}" width="${x(row.mean) - LEFT}" height="${ROW - 10}" fill="${color}"/>
      <line x1="${x(row.low)}" x2="${x(row.high)}" y1="${middle}" y2="${middle}" stroke-width="1.5"/>
      <text x="${LEFT + WIDTH + 12}" y="${middle + 5}">${Number(row.mean).toFixed(3)}</text>`;
  };
  const foot = TOP + ROW * rows.length;
  const label = isError ? "mean absolute error, negated" : "accuracy";
  const axis = `<line x1="${LEFT}" x2="${LEFT + WIDTH}" y1="${foot}" y2="${foot}"/>
    <text x="${LEFT}" y="${foot + 20}" text-anchor="middle">${start.toFixed(isError ? 2 : 0)}</text>
    <text x="${LEFT + WIDTH / 2}" y="${foot + 20}" text-anchor="middle">${label}</text>
    <text x="${LEFT + WIDTH}" y="${foot + 20}" text-anchor="middle">${end.toFixed(isError ? 2 : 0)}</text>`;
  svg.innerHTML = rows.map(bar).join("") + axis;
  output.textContent = `${Math.round(100 * rate)} %`;
  const told = rows.map((row) => `${LOOKS[row.method][0]} ${Number(row.mean).toFixed(3)}`);
  svg.setAttribute("aria-label", told.join(", "));
}

select.addEventListener("change", draw);
slider.addEventListener("input", draw);
draw();
