"use strict";
// Asks the scheduler for its jobs once a second, and draws them. Whatever comes is put into the page
// as text, or checked first: no markup is ever made of it.
(() => {
  const POLL_MS = 1000;
  const SILENT_S = 30; // a driver that is well tells of its job every ten seconds
  const STATES = { running: "Running", done: "Done", failed: "Failed", cancelled: "Cancelled" };
  const COLOR = /^#[0-9a-f]{6}([0-9a-f]{2})?$/i;
  const SVG = "http://www.w3.org/2000/svg";
  const cards = new Map();
  const $ = (selector, inside = document) => inside.querySelector(selector);
  // The page is at .../dask-quant, with or without a slash, behind whatever prefix or proxy.
  const address = location.pathname.replace(/\/+$/, "");
  $("#json").href = `${address}/jobs.json`;
  $("footer a").href = address.replace(/[^/]*$/, "status");

  function make(tag, className, text) {
    const element = document.createElement(tag);
    if (className) element.className = className;
    if (text !== undefined) element.textContent = text;
    return element;
  }

  function setText(element, text) {
    if (element.textContent !== text) element.textContent = text;
  }

  const isNumber = (value) => typeof value === "number" && Number.isFinite(value);
  const list = (value) => (Array.isArray(value) ? value : []);

  function showNumber(value, digits = 0) {
    return value.toLocaleString("en", { minimumFractionDigits: digits,
      maximumFractionDigits: digits });
  }

  function showFew(value) {
    if (value >= 100 || value === 0) return showNumber(Math.round(value));
    return showNumber(value, value >= 10 ? 1 : value >= 0.1 ? 2 : 4);
  }

  function scaleTo(value, units) {
    let power = 0;
    while (power < units.length - 1 && value >= 1000) [value, power] = [value / 1000, power + 1];
    return `${power ? showFew(value) : showNumber(Math.round(value))} ${units[power]}`;
  }

  const showBytes = (value) => scaleTo(value, ["B", "kB", "MB", "GB", "TB"]);
  const showPixels = (value) => scaleTo(value, ["px", "kpx", "Mpx", "Gpx", "Tpx"]);

  function showAmount(stage) {
    if (!isNumber(stage.done)) return "";
    const show = stage.unit === "px" ? showPixels : (value) => showNumber(value);
    const isOne = (isNumber(stage.total) ? stage.total : stage.done) === 1;
    const name = isOne ? String(stage.unit).replace(/s$/, "") : String(stage.unit);
    const unit = stage.unit === "px" ? "" : ` ${name}`;
    if (!isNumber(stage.total)) return `${show(stage.done)}${unit}`;
    return `${show(stage.done)} of ${show(stage.total)}${unit}`;
  }

  function showRate(stage, rate) {
    if (stage.unit === "px") return `${showPixels(rate)}/s`;
    return rate < 0.2 ? `${showFew(60 * rate)}/min` : `${showFew(rate)}/s`;
  }

  function showSeconds(seconds) {
    if (seconds < 10) return `${showNumber(Math.max(0, seconds), 1)} s`;
    if (seconds < 90) return `${Math.round(seconds)} s`;
    const minutes = Math.floor(Math.round(seconds) / 60);
    if (minutes < 60) return `${minutes} min ${Math.round(seconds) % 60} s`;
    return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  }

  const showTime = (seconds) => new Date(1000 * seconds).toLocaleTimeString();

  // -- one job ------------------------------------------------------------------------------------

  function addCard(job) {
    const card = $("#job").content.firstElementChild.cloneNode(true);
    card.dataset.job = job.name;
    card.open = job.status === "running";
    cards.set(job.name, card);
    return card;
  }

  function drawJob(card, job) {
    const state = STATES[job.status] ? job.status : "failed";
    card.dataset.state = state;
    card.className = `job ${state}${isSilent(job) ? " silent" : ""}`;
    setText($(".state", card), STATES[job.status] || String(job.status));
    setText($(".name", card), String(job.name));
    setText($(".brief", card), describeBriefly(job));
    drawColors($(".ribbon", card), list(job.palette).slice(0, 64), "i");
    const seconds = (isNumber(job.ended) ? job.ended : job.updated) - job.started;
    setText($(".when", card), `${showTime(job.started)} · ${showSeconds(seconds)}`);
    setText($(".call", card), String(job.call));
    const { user, host, pid } = job.driver || {};
    setText($(".driver", card), `${user || "?"} on ${host || "?"}, process ${pid || "?"}, ` +
      `version ${job.version || "?"}${describeSilence(job)}`);
    setText($(".outcome", card), job.outcome ? String(job.outcome) : "");
    const isCut = job.status === "failed" || job.status === "cancelled";
    drawStages($(".stages", card), list(job.stages), isCut);
    drawFigures($(".figures", card), job);
    drawCharts($(".charts", card), job);
    drawPalette($(".palette", card), job);
  }

  function describeBriefly(job) {
    if (job.status !== "running") return job.outcome ? String(job.outcome) : "";
    const stage = findCurrent(job);
    if (!stage) return "starting";
    const left = isNumber(stage.remaining_s) ? `, ${showSeconds(stage.remaining_s)} left` : "";
    return `${stage.name}: ${showAmount(stage)}${left}`;
  }

  const isSilent = (job) => job.status === "running" && job.silent_s > SILENT_S;

  function describeSilence(job) {
    return isSilent(job) ? `; no word from it for ${showSeconds(job.silent_s)}` : "";
  }

  const findCurrent = (job) => list(job.stages).filter((stage) => !isNumber(stage.ended)).pop();

  // The last stage of a job that is cut off stands where it was; others that are over were finished.
  function drawStages(place, stages, isCut) {
    while (place.children.length > stages.length) place.lastElementChild.remove();
    stages.forEach((stage, position) => {
      const line = place.children[position] || place.appendChild(makeStage());
      const [name, bar, amount, rate, left] = line.children;
      const isOver = isNumber(stage.ended);
      line.className = isOver ? "over" : "now";
      setText(name, String(stage.name));
      bar.setAttribute("aria-label", `${stage.name}: ${showAmount(stage)}`);
      const isWhole = isOver && !(isCut && position === stages.length - 1);
      const isKnown = isNumber(stage.total) && stage.total > 0;
      if (isOver || isKnown) {
        bar.max = 1;
        bar.value = isWhole ? 1 : isKnown ? stage.done / stage.total : 0;
      } else bar.removeAttribute("value");
      setText(amount, showAmount(stage));
      setText(rate, isNumber(stage.rate) ? showRate(stage, stage.rate) : "");
      const took = isOver ? `took ${showSeconds(stage.ended - stage.started)}` : "";
      setText(left, isNumber(stage.remaining_s) ? `${showSeconds(stage.remaining_s)} left` : took);
    });
  }

  function makeStage() {
    const line = make("li");
    line.append(make("span", "stage"), make("progress"));
    for (let i = 0; i < 3; i++) line.append(make("span", "number"));
    return line;
  }

  function drawFigures(place, job) {
    const figures = [
      ["images", isNumber(job.n_images) && showNumber(job.n_images)],
      ["pixels", isNumber(job.n_pixels) && showPixels(job.n_pixels)],
      ["read", isNumber(job.input_bytes) && showBytes(job.input_bytes)],
      ["written", isNumber(job.output_bytes) && showBytes(job.output_bytes)],
      ["colours", isNumber(job.n_colors) && showNumber(job.n_colors)],
      ["mean squared error", isNumber(job.mse) && (job.mse ? showFew(job.mse) : "exact")],
      ["PSNR", isNumber(job.mse) && job.mse > 0 && `${showNumber(10 * Math.log10((3 * 255 ** 2) / job.mse), 2)} dB`],
      ["set aside", isNumber(job.n_quarantined) && job.n_quarantined > 0 &&
        showNumber(job.n_quarantined)],
    ].filter(([, text]) => text);
    while (place.children.length > figures.length) place.lastElementChild.remove();
    figures.forEach(([title, text], position) => {
      const box = place.children[position] || place.appendChild(makeFigure());
      box.className = title === "set aside" ? "alert" : "";
      setText(box.children[0], title);
      setText(box.children[1], text);
    });
  }

  function makeFigure() {
    const box = make("div");
    box.append(make("dt"), make("dd", "value"));
    return box;
  }

  // -- charts -------------------------------------------------------------------------------------

  const clean = (points) => list(points).filter(
    (point) => list(point).length === 2 && point.every(isNumber));

  function drawCharts(place, job) {
    const stage = chooseStage(job), errors = clean(job.errors);
    const charts = [];
    if (errors.length > 1) {
      charts.push({ title: "Error", note: "lowest mean squared error of the search so far",
        points: errors, show: showFew, isStep: true, fromZero: false });
    }
    if (stage) {
      charts.push({ title: "Throughput", note: `${stage.name}, ${stage.unit} a second`,
        points: clean(stage.history), fromZero: true,
        show: stage.unit === "px" ? showPixels : showFew });
    }
    const key = JSON.stringify(charts.map((chart) => [chart.note, chart.points]));
    if (place.dataset.key === key) return;
    place.dataset.key = key;
    place.replaceChildren(...charts.map(makeChart));
  }

  function chooseStage(job) {
    const known = list(job.stages).filter((stage) => clean(stage.history).length > 1);
    const current = findCurrent(job);
    if (current && known.includes(current) && current.unit !== "rounds") return current;
    const real = known.filter((stage) => stage.unit !== "rounds");
    const length = (stage) => (stage.ended || job.updated) - stage.started;
    return real.sort((a, b) => length(b) - length(a))[0];
  }

  const [WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM] = [520, 170, 66, 12, 10, 26];

  // The next number that two halves of one or two digits make up.
  function roundUp(value) {
    const decade = 10 ** Math.floor(Math.log10(value || 1));
    return decade * [1, 1.2, 1.6, 2, 3, 4, 5, 6, 8, 10].find((base) => base * decade >= value);
  }

  function makeChart({ title, note, points, show, fromZero, isStep }) {
    const xs = points.map(([x]) => x), ys = points.map(([, y]) => y);
    const low = fromZero ? 0 : Math.min(...ys), high = Math.max(...ys);
    const reach = high - low || Math.abs(high) / 10 || 1;
    const bottom = fromZero ? 0 : low - 0.08 * reach;
    const top = fromZero ? roundUp(high) : high + 0.08 * reach;
    // As many digits as tell the three lines of the axis apart.
    const digits = Math.min(6, Math.max(0, Math.ceil(1 - Math.log10(reach))));
    const begin = xs[0], span = xs[xs.length - 1] - begin || 1;
    const place = ([x, y]) => [LEFT + ((x - begin) / span) * (WIDTH - LEFT - RIGHT),
      TOP + ((top - y) / (top - bottom)) * (HEIGHT - TOP - BOTTOM)];
    const spots = points.map(place);
    const path = spots.map(([x, y], i) => {
      const step = isStep && i ? `H${x.toFixed(1)}V${y.toFixed(1)}` : null;
      return step || `${i ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`;
    }).join("");
    const floor = HEIGHT - BOTTOM, [endX, endY] = spots[spots.length - 1];
    const said = `${title}, ${note}: from ${show(ys[0])} to ${show(ys[ys.length - 1])} ` +
      `in ${showSeconds(span)}`;
    const parts = [];
    for (const share of [0, 0.5, 1]) {
      const value = bottom + share * (top - bottom), y = floor - share * (floor - TOP);
      const label = isStep ? showNumber(value, digits) : show(value);
      parts.push(draw("line", { class: "grid", x1: LEFT, x2: WIDTH - RIGHT, y1: y, y2: y }));
      parts.push(draw("text", { class: "end", x: LEFT - 8, y: y + 4 }, label));
    }
    parts.push(draw("path", { class: "area", d: `${path}V${floor}H${spots[0][0].toFixed(1)}Z` }));
    parts.push(draw("path", { class: "line", d: path }));
    parts.push(draw("circle", { class: "dot", cx: endX, cy: endY, r: 3.5 }));
    parts.push(draw("text", { x: LEFT, y: HEIGHT - 6 }, showSeconds(begin)));
    parts.push(draw("text", { class: "end", x: WIDTH - RIGHT, y: HEIGHT - 6 },
      showSeconds(begin + span)));
    const drawing = draw("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img",
      "aria-label": said });
    drawing.append(...parts);
    const figure = make("figure"), caption = make("figcaption", "", `${title} `);
    caption.append(make("span", "", note));
    figure.append(caption, drawing);
    return figure;
  }

  function draw(tag, attributes, text) {
    const element = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    if (text !== undefined) element.textContent = text;
    return element;
  }

  // -- colours ------------------------------------------------------------------------------------

  function drawColors(place, colors, tag) {
    const known = colors.filter((color) => COLOR.test(color));
    while (place.children.length > known.length) place.lastElementChild.remove();
    known.forEach((color, position) => {
      const chip = place.children[position] || place.appendChild(make(tag));
      if (chip.dataset.color === color) return;
      chip.dataset.color = color;
      chip.style.backgroundColor = color;
      if (tag === "li") {
        chip.title = color;
        chip.replaceChildren(make("span", "unseen", color));
      }
    });
  }

  function drawPalette(place, job) {
    const colors = list(job.palette);
    if (!colors.length) return place.replaceChildren();
    if (!place.children.length) {
      const caption = make("p");
      caption.append("Palette ", make("span"));
      place.append(caption, make("ul"));
    }
    const left = job.n_colors > colors.length ? `, ${colors.length} of them shown` : "";
    const stands = job.status === "running" ? " as it stands" : "";
    setText($("p span", place), `${showNumber(job.n_colors || colors.length)} colours${left}` +
      stands);
    drawColors($("ul", place), colors, "li");
    return undefined;
  }

  // -- all of them --------------------------------------------------------------------------------

  function drawAll(found) {
    const isRunning = (job) => job.status === "running";
    const jobs = [...found.filter(isRunning), ...found.filter((job) => !isRunning(job))];
    const place = $("#jobs"), names = new Set(jobs.map((job) => String(job.name)));
    for (const [name, card] of cards) {
      if (names.has(name)) continue;
      card.remove();
      cards.delete(name);
    }
    if (!jobs.length && !$(".nothing", place)) place.append($("#nothing").content.cloneNode(true));
    if (jobs.length) $(".nothing", place)?.remove();
    jobs.forEach((job, position) => {
      const isNew = !cards.has(String(job.name));
      const card = isNew ? addCard(job) : cards.get(String(job.name));
      if (isNew && position === 0) card.open = true;
      drawJob(card, job);
      const there = place.children[position];
      if (there !== card) place.insertBefore(card, there || null);
    });
    setText($("#summary"), summarize(jobs));
  }

  function summarize(jobs) {
    const parts = Object.keys(STATES).map((state) => {
      const count = jobs.filter((job) => job.status === state).length;
      return count ? `${count} ${state}` : "";
    });
    return parts.filter(Boolean).join(", ") || "None on this scheduler";
  }

  async function poll() {
    let wait = POLL_MS;
    try {
      const response = await fetch(`${address}/jobs.json`, { cache: "no-store" });
      if (!response.ok) throw new Error(`it answered with ${response.status}`);
      drawAll(list((await response.json()).jobs));
      $("#silence").hidden = true;
      setText($("#clock"), `as of ${new Date().toLocaleTimeString()}`);
      document.documentElement.dataset.drawn = "yes";
    } catch (error) {
      wait = 3 * POLL_MS;
      $("#silence").hidden = false;
      setText($("#silence"), "The scheduler does not answer; what is shown may be old.");
    }
    if (document.hidden) wait *= 5;
    setTimeout(poll, wait);
  }

  poll();
})();
