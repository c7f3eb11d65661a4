"use strict";
const $ = (id) => document.getElementById(id);
const facts = JSON.parse($("facts").textContent);
const SIDE = 28, BOX = 20, HEIGHT = 32, WIDEST = 1024, MARGIN = 8;
const INK = 0.3;  // what counts as ink, of a picture whose darkest is 1
const MODES = {  // the sheet, and the pen
  digit: {width: 300, height: 300, pen: 25, hint: "Draw a digit here,<br>or drop a picture"},
  number: {width: 660, height: 210, pen: 13, hint: "Draw a number here,<br>or drop a picture"},
};

// ---- the core -------------------------------------------------------------------------------------

let core = null;

async function open() {
  const packed = Uint8Array.from(atob($("core").textContent), (c) => c.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const bytes = await new Response(stream).arrayBuffer();
  // what the C library may ask of a system: there are no files, no environment and no exit
  const system = new Proxy({}, {has: () => true, get: (_, name) => (...given) => {
    if (name === "environ_sizes_get") given.forEach((at) => words(at, 1).fill(0));
    if (name === "proc_exit") throw new Error("the core ended");
    return name.startsWith("environ") ? 0 : 52;
  }});
  const module = await WebAssembly.compile(bytes);
  const imports = {};
  for (const {module: from, name} of WebAssembly.Module.imports(module))
    (imports[from] ??= {})[name] = system[name];
  core = (await WebAssembly.instantiate(module, imports)).exports;
  core._initialize?.();
  const status = core.page_open();
  if (status) throw new Error(`the core does not open its networks: ${status}`);
}

const bytes = (at, n) => new Uint8Array(core.memory.buffer, at, n);
const words = (at, n) => new Int32Array(core.memory.buffer, at, n);
const floats = (at, n) => new Float32Array(core.memory.buffer, at, n);
const doubles = (at, n) => new Float64Array(core.memory.buffer, at, n);

// ---- the sheet: strokes and pictures, each of which may be undone ------------------------------------

const pad = $("pad"), ink = document.createElement("canvas");
let mode = "digit", marks = [], current = null;

function trace(to, points, pen) {
  to.lineWidth = pen;
  to.lineCap = to.lineJoin = "round";
  to.beginPath();
  to.moveTo(...points[0]);
  for (let i = 1; i + 1 < points.length; i++) {  // through the middles, so that corners are round
    const [x, y] = points[i], [u, v] = points[i + 1];
    to.quadraticCurveTo(x, y, (x + u) / 2, (y + v) / 2);
  }
  to.lineTo(...points[points.length - 1]);
  to.stroke();
}

function draw() {
  const {width, height, pen} = MODES[mode], to = ink.getContext("2d", {willReadFrequently: true});
  ink.width = width;
  ink.height = height;
  to.strokeStyle = "#1d2433";
  for (const mark of marks)
    if (mark.picture) to.drawImage(mark.picture, 0, 0);
    else trace(to, mark.points, pen);
  const sharp = Math.max(1, window.devicePixelRatio || 1), show = pad.getContext("2d");
  pad.width = width * sharp;
  pad.height = height * sharp;
  pad.style.aspectRatio = `${width} / ${height}`;
  pad.style.width = `${width}px`;
  show.scale(sharp, sharp);
  show.strokeStyle = "#1d2433";
  for (const mark of marks)
    if (mark.picture) show.drawImage(mark.picture, 0, 0);
    else trace(show, mark.points, pen);
  $("hint").hidden = marks.length > 0;
}

// ---- what a picture is prepared to: ink of 0 to 1, cut out, scaled and centred ------------------------

function inkOfSheet() {
  const {width, height} = ink, data = ink.getContext("2d").getImageData(0, 0, width, height).data;
  const values = new Float32Array(width * height);
  for (let i = 0; i < values.length; i++) values[i] = data[4 * i + 3] / 255;
  return {width, height, values};
}

function cut(from, left, top, width, height) {
  const values = new Float32Array(width * height);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) values[y * width + x] = from.values[(top + y) * from.width + left + x];
  return {width, height, values};
}

/* For each output the inputs that it is made of, and their weights: by area where it shrinks, else
 * between neighbours. */
function shares(from, to) {
  const step = from / to, found = [];
  for (let i = 0; i < to; i++) {
    const pairs = [];
    if (step > 1) {
      for (let k = Math.floor(i * step); k < Math.min(from, (i + 1) * step); k++)
        pairs.push([k, (Math.min(k + 1, (i + 1) * step) - Math.max(k, i * step)) / step]);
    } else {
      const at = Math.min(Math.max((i + 0.5) * step - 0.5, 0), from - 1), k = Math.floor(at);
      pairs.push([k, 1 - (at - k)]);
      if (k + 1 < from) pairs.push([k + 1, at - k]);
    }
    found.push(pairs);
  }
  return found;
}

function resized(from, width, height) {
  const rows = new Float32Array(height * from.width), values = new Float32Array(height * width);
  shares(from.height, height).forEach((pairs, y) => {
    for (const [k, share] of pairs)
      for (let x = 0; x < from.width; x++) rows[y * from.width + x] += share * from.values[k * from.width + x];
  });
  shares(from.width, width).forEach((pairs, x) => {
    for (const [k, share] of pairs)
      for (let y = 0; y < height; y++) values[y * width + x] += share * rows[y * from.width + k];
  });
  return {width, height, values};
}

/* Strokes become full in the middle, as MNIST's are. */
function brightened(from, peak) {
  const most = from.values.reduce((a, b) => Math.max(a, b), 0);
  for (let i = 0; i < from.values.length; i++)
    from.values[i] = Math.min(from.values[i] * (peak / most), 1);
  return from;
}

/* The boxes of ink that hangs together. */
function pieces({width, height, values}) {
  const seen = new Uint8Array(width * height), found = [];
  for (let start = 0; start < seen.length; start++) {
    if (seen[start] || values[start] <= INK) continue;
    const box = {left: width, right: 0, top: height, bottom: 0, pixels: 0}, stack = [start];
    seen[start] = 1;
    while (stack.length) {
      const at = stack.pop(), x = at % width, y = (at - x) / width;
      box.left = Math.min(box.left, x);
      box.right = Math.max(box.right, x + 1);
      box.top = Math.min(box.top, y);
      box.bottom = Math.max(box.bottom, y + 1);
      box.pixels++;
      for (let v = Math.max(0, y - 1); v <= Math.min(height - 1, y + 1); v++)
        for (let u = Math.max(0, x - 1); u <= Math.min(width - 1, x + 1); u++) {
          const next = v * width + u;
          if (!seen[next] && values[next] > INK) {
            seen[next] = 1;
            stack.push(next);
          }
        }
    }
    found.push(box);
  }
  return found;
}

function around(boxes) {
  const left = Math.min(...boxes.map((b) => b.left)), top = Math.min(...boxes.map((b) => b.top));
  return {left, top, width: Math.max(...boxes.map((b) => b.right)) - left,
          height: Math.max(...boxes.map((b) => b.bottom)) - top};
}

const median = (values) => values.sort((a, b) => a - b)[values.length >> 1];

/* 28x28 with the digit in 20x20, its centre of mass in the middle; as preprocess.character. */
function prepareDigit(sheet, boxes) {
  const {left, top, width, height} = around(boxes), scale = BOX / Math.max(width, height);
  const small = brightened(resized(cut(sheet, left, top, width, height),
    Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale))), 1.15);
  let mass = 0, down = 0, right = 0;
  small.values.forEach((value, i) => {
    mass += value;
    down += value * Math.floor(i / small.width);
    right += value * (i % small.width);
  });
  const place = (middle, size) => Math.min(Math.max(Math.round(SIDE / 2 - middle / mass), 0), SIDE - size);
  return placed(small, SIDE, SIDE, place(right, small.width), place(down, small.height));
}

/* A strip of 32 rows: what is tall becomes 20 rows high, with its middle in row 16; as preprocess.line. */
function prepareNumber(sheet, boxes) {
  const {left, top, width, height} = around(boxes);
  const most = Math.max(...boxes.map((b) => b.bottom - b.top));
  const tall = boxes.filter((b) => b.bottom - b.top > 0.6 * most);
  const scale = Math.min(BOX / median(tall.map((b) => b.bottom - b.top)), (WIDEST - 2 * MARGIN) / width);
  const middle = median(tall.map((b) => (b.top + b.bottom) / 2));
  const small = brightened(resized(cut(sheet, left, top, width, height),
    Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale))), 1.25);
  return placed(small, small.width + 2 * MARGIN, HEIGHT, MARGIN, Math.round(HEIGHT / 2 - (middle - top) * scale));
}

function placed(small, width, height, left, top) {
  const values = new Uint8Array(width * height);
  for (let y = 0; y < small.height; y++)
    for (let x = 0; x < small.width; x++)
      if (top + y >= 0 && top + y < height)
        values[(top + y) * width + left + x] = Math.round(small.values[y * small.width + x] * 255);
  return {width, height, values};
}

// ---- pictures of maps -----------------------------------------------------------------------------------

/* Draws rows of values, of which `low` is paper and `high` ink. */
function paint(canvas, {width, height, values}, low, high, zoom) {
  canvas.width = width;
  canvas.height = height;
  canvas.style.width = `${width * zoom}px`;
  canvas.style.height = `${height * zoom}px`;
  const to = canvas.getContext("2d"), image = to.createImageData(width, height);
  for (let i = 0; i < width * height; i++) {
    const dark = Math.min(Math.max((values[i] - low) / (high - low), 0), 1);
    image.data.set([255 - 226 * dark, 255 - 219 * dark, 255 - 204 * dark, Number.isNaN(values[i]) ? 0 : 255], 4 * i);
  }
  to.putImageData(image, 0, 0);
}

/* Several maps side by side, so many in a row, with a gap. */
function sheetOf(values, maps, height, width, columns, gap) {
  const rows = Math.ceil(maps / columns);
  const all = {width: columns * (width + gap) - gap, height: rows * (height + gap) - gap};
  all.values = new Float32Array(all.width * all.height).fill(NaN);
  for (let map = 0; map < maps; map++) {
    const left = (map % columns) * (width + gap), top = Math.floor(map / columns) * (height + gap);
    for (let y = 0; y < height; y++)
      for (let x = 0; x < width; x++)
        all.values[(top + y) * all.width + left + x] = values[(map * height + y) * width + x];
  }
  return all;
}

function figure(key, caption) {
  let found = $(key);
  if (!found) {
    found = document.createElement("figure");
    found.id = key;
    found.innerHTML = '<canvas class="map"></canvas><figcaption></figcaption>';
    $("layers").append(found);
  }
  found.querySelector("figcaption").innerHTML = caption;
  return found.querySelector("canvas");
}

const largest = (values) => values.reduce((a, b) => Math.max(a, Math.abs(b)), 0.1);

/* How the layers of a digit are laid out: maps in a row, pixels of the screen each, gap. */
const LAYOUT = {C1: [3, 2, 2], S2: [3, 2, 2], C3: [8, 2, 1], S4: [8, 3, 1], C5: [12, 6, 0], F6: [7, 6, 0]};

function showDigit(image, best) {
  paint(figure("layer-input", "<b>Input</b> 28x28"), image, 0, 255, 4);
  facts.layers.slice(0, 6).forEach(([name, maps, height, width], l) => {
    const values = floats(core.page_digit_layer(l), maps * height * width), most = largest(values);
    const [columns, zoom, gap] = LAYOUT[name];
    const size = height > 1 ? `${maps} of ${height}x${width}` : `${maps} units`;
    paint(figure(`layer-${name}`, `<b>${name}</b> ${size}`),
      sheetOf(values, maps, height, width, columns, gap), -most, most, zoom);
  });
  const penalties = floats(core.page_digit_layer(6), 10), most = Math.max(...penalties);
  let table = $("outputs");
  if (!table) {
    $("board").innerHTML = '<div id="outputs" class="outputs"></div><figcaption><b>Penalty</b> of each '
      + "digit: how far F6 is from its code. The smallest wins.</figcaption>";
    table = $("outputs");
    for (let k = 0; k < 10; k++) {
      for (const tag of ["span", "canvas", "i", "span"]) table.append(document.createElement(tag));
      const cells = table.children, code = cells[4 * k + 1];
      cells[4 * k].textContent = k;
      code.className = "map";
      paint(code, {width: 7, height: 12, values: [...facts.codes[k]].map(Number)}, 0, 1, 1.75);
    }
  }
  for (let k = 0; k < 10; k++) {
    const [name, , bar, value] = [...table.children].slice(4 * k, 4 * k + 4);
    bar.style.width = `${100 * penalties[k] / most}%`;
    value.textContent = penalties[k].toFixed(1);
    for (const part of [name, bar, value]) part.classList.toggle("best", k === best);
  }
}

/* A place of the network has 4 columns of the strip to itself; the network sees `margin` more at each end. */
function showNumber(strip, columns) {
  const zoom = Math.max(1, Math.min(5, Math.floor(940 / strip.width)));
  paint(figure("strip", "<b>Input</b> the network is moved over this strip, four columns at a time"),
    strip, 0, 255, zoom);
  const outputs = floats(core.page_number_layer(6), columns * 11), chances = new Float32Array(columns * 11);
  for (let p = 0; p < columns; p++) {
    const row = outputs.slice(11 * p, 11 * p + 11), most = Math.max(...row);
    const sum = row.reduce((a, b) => a + Math.exp(b - most), 0);
    row.forEach((value, k) => { chances[k * columns + p] = Math.exp(value - most) / sum; });
  }
  const places = figure("places", "<b>Output</b> how likely each digit is at each place; last row: "
    + "none, as between two digits");
  paint(places, {width: columns, height: 11, values: chances}, 0, 1, 4 * zoom);
  places.style.height = "132px";
  places.style.marginLeft = `${(16 - facts.margin - 2) * zoom}px`;
  if (!places.parentNode.querySelector(".names"))
    places.insertAdjacentHTML("beforebegin",
      `<div class="names">${[...Array(10).keys(), "\u2013"].join("<br>")}</div>`);
  const wide = [[0, "C1", 4 * (columns - 1) + 28, 1], [2, "C3", 2 * (columns - 1) + 10, 2]];
  for (const [l, name, width, scale] of wide) {
    const [, maps, height] = facts.layers[l], values = floats(core.page_number_layer(l), maps * height * width);
    const most = largest(values), side = Math.max(1, Math.floor(940 / (scale * width + 4)));
    paint(figure(`wide-${name}`, `<b>${name}</b> ${maps} maps of ${height}x${width}`),
      sheetOf(values, maps, height, width, Math.min(side, maps), 2), -most, most, scale);
  }
}

// ---- reading --------------------------------------------------------------------------------------------

const percent = (p) => (p > 0.995 ? (p > 0.9995 ? "more than 99.9%" : `${(100 * p).toFixed(1)}%`) : `${Math.round(100 * p)}%`);

function say(text, sure, doubt) {
  $("text").innerHTML = text || "&nbsp;";
  $("sure").textContent = sure || "\u00a0";
  $("doubt").textContent = doubt || "";
}

function readDigit(sheet, boxes) {
  const image = prepareDigit(sheet, boxes);
  bytes(core.page_image(), SIDE * SIDE).set(image.values);
  const best = core.page_read_digit();
  if (best < 0) throw new Error(`the core does not read it: ${-1 - best}`);
  const probability = floats(core.page_probabilities(), 10)[best];
  const penalty = floats(core.page_digit_layer(6), 10)[best], distance = core.page_distance(best);
  const limits = facts.digit;
  let doubt = "";
  if (penalty > (limits.penalty ?? Infinity))
    doubt = `Doubtful: its penalty is ${penalty.toFixed(0)}, and up to ${limits.penalty.toFixed(0)} is trusted.`;
  else if (distance > (limits.distance ?? Infinity))
    doubt = `Doubtful: it is unlike the ${best}s of the training images.`;
  showDigit(image, best);
  say(String(best), `${percent(probability)} sure, with a penalty of ${penalty.toFixed(1)}`, doubt);
  return {text: String(best), probability, penalty, distance, rejected: doubt !== "", image: [...image.values]};
}

function readNumber(sheet, boxes) {
  const strip = prepareNumber(sheet, boxes);
  bytes(core.page_strip(), strip.values.length).set(strip.values);
  const n = core.page_read_number(strip.width);
  if (n < 0) throw new Error(`the core does not read it: ${-1 - n}`);
  const digits = [...words(core.page_string(), n)], sure = [...doubles(core.page_confidence(), n)];
  const logarithm = core.page_log_probability(), rejected = n === 0 || -logarithm > facts.number.penalty;
  const text = digits.map((d, i) => `<span${sure[i] < 0.9 ? ' class="weak"' : ""}>${d}</span>`).join("");
  showNumber(strip, core.page_columns(strip.width));
  say(text, n ? `${percent(Math.exp(logarithm))} sure` : "",
    !n ? "It sees no digit here." : rejected ? "Doubtful: other readings are too likely." : "");
  return {text: digits.join(""), probability: Math.exp(logarithm), rejected, width: strip.width, image: [...strip.values]};
}

/* What was read last, for whoever drives the page. */
let reading = null;

function read() {
  draw();
  const sheet = inkOfSheet(), boxes = pieces(sheet).filter((box) => box.pixels > 4);
  document.body.classList.toggle("empty", !boxes.length);
  $("layers").className = mode === "number" ? "wide" : "";
  document.body.classList.toggle("number", mode === "number");
  $("board").hidden = mode === "number" || !boxes.length;
  reading = null;
  if (!core || !boxes.length) {
    $("layers").replaceChildren();
    say("", core ? "" : "One moment\u2026");
    return;
  }
  reading = mode === "digit" ? readDigit(sheet, boxes) : readNumber(sheet, boxes);
}

let asked = 0;
function soon() {
  asked ||= requestAnimationFrame(() => {
    asked = 0;
    read();
  });
}

// ---- hands ----------------------------------------------------------------------------------------------

function place(event) {
  const box = pad.getBoundingClientRect(), {width, height} = MODES[mode];
  return [(event.clientX - box.left) * width / box.width, (event.clientY - box.top) * height / box.height];
}

pad.addEventListener("pointerdown", (event) => {
  if (event.button || current) return;
  event.preventDefault();
  try { pad.setPointerCapture(event.pointerId); } catch { /* a pointer that a script made */ }
  current = {points: [place(event)], pointer: event.pointerId};
  marks.push(current);
  soon();
});
pad.addEventListener("pointermove", (event) => {
  if (!current || current.pointer !== event.pointerId) return;
  const events = event.getCoalescedEvents?.() ?? [];
  for (const each of events.length ? events : [event]) current.points.push(place(each));
  soon();
});
for (const name of ["pointerup", "pointercancel"])
  pad.addEventListener(name, (event) => {
    if (current?.pointer === event.pointerId) current = null;
  });

function undo() {
  current = null;
  marks.pop();
  soon();
}

function clear() {
  current = null;
  marks = [];
  soon();
}

function choose(wanted) {
  if (wanted === mode) return;
  mode = wanted;
  current = null;
  marks = [];
  $("one").setAttribute("aria-pressed", mode === "digit");
  $("many").setAttribute("aria-pressed", mode === "number");
  $("hint").innerHTML = MODES[mode].hint;
  $("layers").replaceChildren();
  read();
}

$("undo").onclick = undo;
$("clear").onclick = clear;
$("one").onclick = () => choose("digit");
$("many").onclick = () => choose("number");
addEventListener("resize", soon);
addEventListener("keydown", (event) => {
  if (event.key === "Escape") clear();
  if (event.key.toLowerCase() === "z" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    undo();
  }
});

/* A picture becomes ink on the sheet: whatever its border is not, dark or light. */
async function take(file) {
  let picture;
  try {
    picture = await createImageBitmap(file);
  } catch {
    say("", "", "That is no picture that this browser can show.");
    return;
  }
  const {width, height} = MODES[mode], canvas = document.createElement("canvas");
  const scale = Math.min(width / picture.width, height / picture.height);
  const w = Math.max(1, Math.round(picture.width * scale)), h = Math.max(1, Math.round(picture.height * scale));
  canvas.width = w;
  canvas.height = h;
  const to = canvas.getContext("2d");
  to.fillStyle = "#fff";
  to.fillRect(0, 0, w, h);
  to.imageSmoothingQuality = "high";
  to.drawImage(picture, 0, 0, w, h);
  const image = to.getImageData(0, 0, w, h), grey = new Float32Array(w * h), border = [];
  for (let i = 0; i < grey.length; i++) {
    const [r, g, b] = image.data.subarray(4 * i, 4 * i + 3), x = i % w, y = (i - x) / w;
    grey[i] = 0.299 * r + 0.587 * g + 0.114 * b;
    if (x === 0 || y === 0 || x === w - 1 || y === h - 1) border.push(grey[i]);
  }
  const paper = median(border);
  let farthest = 0;
  for (const value of grey) if (Math.abs(value - paper) > Math.abs(farthest)) farthest = value - paper;
  if (Math.abs(farthest) < 24) {
    say("", "", "Nothing stands out in that picture.");
    return;
  }
  for (let i = 0; i < grey.length; i++) {
    // the paper's own unevenness goes: the lowest fifth
    const dark = Math.min(Math.max(((grey[i] - paper) / farthest - 0.2) / 0.6, 0), 1);
    image.data.set([29, 36, 51, 255 * dark], 4 * i);
  }
  to.putImageData(image, 0, 0);
  const whole = document.createElement("canvas");
  whole.width = width;
  whole.height = height;
  whole.getContext("2d").drawImage(canvas, Math.round((width - w) / 2), Math.round((height - h) / 2));
  marks.push({picture: whole});
  soon();
}

$("file").onchange = (event) => {
  if (event.target.files[0]) take(event.target.files[0]);
  event.target.value = "";
};
addEventListener("dragover", (event) => {
  event.preventDefault();
  $("sheet").classList.add("over");
});
addEventListener("dragleave", () => $("sheet").classList.remove("over"));
addEventListener("drop", (event) => {
  event.preventDefault();
  $("sheet").classList.remove("over");
  if (event.dataTransfer.files[0]) take(event.dataTransfer.files[0]);
});

read();
open().then(read, (error) => say("", "", `This browser cannot run the network (it needs WebAssembly's SIMD, of 2023 on): ${error.message}`));
