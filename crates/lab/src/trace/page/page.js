
// Draws the run from the data in the page: a lane for each host, a row for each datagram and event.
(() => {
  const data = JSON.parse(document.getElementById("trace").textContent);
  const element = (id) => document.getElementById(id);
  const [drawing, heads, stage, panel, tools] = ["drawing", "heads", "stage", "panel", "tools"].map(element);
  const [endBox, hostBox, searchBox, helloBox, gapBox] = ["by-end", "by-host", "by-text", "hellos", "gaps"].map(element);

  // How each end is drawn: the dashes of its wire and the shape at its tip, so that colour only repeats
  // it; and what it means.
  const ENDS = {
    accepted: { dash: "", tip: "arrow", meaning: "A session took it." },
    read: { dash: "", tip: "ring", meaning: "An application read it from a plain socket." },
    challenged: { dash: "", tip: "open", meaning: "A hello without a cookie: a cookie goes back, and nothing is remembered." },
    kernel: { dash: "2 4", tip: "square", meaning: "The kernel found no socket for it; the node never saw it." },
    demux: { dash: "9 4", tip: "diamond", meaning: "No session belongs to its source address." },
    gate: { dash: "1 4", tip: "bars", meaning: "By its form it can be no record of the session." },
    replay: { dash: "10 3 2 3", tip: "target", meaning: "A record with this number was there before, or it is too old." },
    "record-auth": { dash: "6 3", tip: "cross", meaning: "It does not verify under the session’s keys." },
    identity: { dash: "14 4", tip: "triangle", meaning: "The certificate is of nobody who is admitted." },
    killed: { dash: "", tip: "star", meaning: "It ended a session." },
    lost: { dash: "3 5", tip: "gone", meaning: "The network lost it." },
    "on its way": { dash: "3 5", tip: "none", meaning: "It had not arrived when the run ended." },
  };
  const WELL = ["accepted", "read"];
  const ROW = 38, TOP = 6, WIRE = 25, TEXT = 14, BOTTOM = 14;
  const GAP_MAX = 220; // The longest pause is drawn as long as this, in addition to the rows, and others in proportion.
  const DRAWN_WHOLE = 600; // More rows than these are drawn where the window is, and nowhere else.
  const MARGIN = 1200; // Pixels beyond the window that are drawn ahead of scrolling.
  const SVG = "http://www.w3.org/2000/svg";

  // Nodes have a lane each; somebody else has one if he did anything.
  const busy = new Set(data.rows.flatMap((row) => [row.from, row.to, row.host]));
  const shown = data.hosts.filter((host, index) => host.node || busy.has(index));

  let rows = [], tops = [], selected = -1, geometry, layer, painted = [0, 0];

  const svg = (name, attributes, parent, text) => {
    const node = document.createElementNS(SVG, name);
    for (const key in attributes) node.setAttribute(key, attributes[key]);
    if (text !== undefined) node.textContent = text;
    if (parent) parent.append(node);
    return node;
  };
  const html = (name, parent, text, className) => {
    const node = document.createElement(name);
    if (text !== undefined) node.textContent = text;
    if (className) node.className = className;
    if (parent) parent.append(node);
    return node;
  };
  const word = (end) => end.replaceAll(" ", "-");
  const name = (host) => (host === null || host === undefined ? "?" : data.hosts[host].name);
  // Seconds, to three digits or as many more threes of them as say something.
  const seconds = (nanos) => `${Math.floor(nanos / 1e9)}.${String(nanos % 1e9).padStart(9, "0").replace(/(000){1,2}$/, "")}`;
  const clock = (nanos) => seconds(Math.round(nanos / 1e3) * 1e3);
  const exact = (nanos) => `${seconds(nanos)} s`;
  const cut = (text, most) => (text.length > most ? `${text.slice(0, Math.max(1, most - 1))}…` : text);
  const hostOf = (address) => data.hosts.find((host) => host.address === address);

  // What it says of itself, beside where it went.
  const says = (row) => {
    const claimed = row.way === "injected" && hostOf(row.source);
    const from = claimed && claimed !== data.hosts[row.from] ? ` as ${claimed.name}` : "";
    return (row.label ? `${row.label}: ` : "") + row.contents + from;
  };

  function tip(shape, x, y, way, parent) {
    const path = (d, hollow) => svg("path", { d, class: hollow ? "tip hollow" : "tip" }, parent);
    const back = x - way * 10;
    switch (shape) {
      case "arrow": return path(`M${x} ${y}L${back} ${y - 5}L${back} ${y + 5}Z`);
      case "open": return svg("path", { d: `M${back} ${y - 6}L${x} ${y}L${back} ${y + 6}M${back} ${y}H${x}`, class: "tip open" }, parent);
      case "triangle": return path(`M${back} ${y}L${x} ${y - 6}L${x} ${y + 6}Z`, true);
      case "square": return svg("rect", { x: Math.min(x, back), y: y - 5, width: 10, height: 10, class: "tip" }, parent);
      case "diamond": return path(`M${x} ${y}L${x - way * 6} ${y - 6}L${x - way * 12} ${y}L${x - way * 6} ${y + 6}Z`, true);
      case "bars": return path(`M${x - way * 2} ${y - 8}V${y + 8}M${x - way * 7} ${y - 8}V${y + 8}`);
      case "ring": return svg("circle", { cx: x - way * 5, cy: y, r: 5, class: "tip hollow" }, parent);
      case "target":
        svg("circle", { cx: x - way * 6, cy: y, r: 6, class: "tip hollow" }, parent);
        return svg("circle", { cx: x - way * 6, cy: y, r: 2, class: "tip" }, parent);
      case "cross": return path(`M${x - 11 * way} ${y - 6}L${x + way} ${y + 6}M${x + way} ${y - 6}L${x - 11 * way} ${y + 6}`);
      case "gone": return path(`M${x - way * 4} ${y - 5}L${x + way * 2} ${y + 5}M${x + way * 2} ${y - 5}L${x + way * 8} ${y + 5}`);
      case "star": return path(`M${x - 13 * way} ${y}H${x + way}M${x - 6 * way} ${y - 8}V${y + 8}M${x - 11 * way} ${y - 6}L${x - way} ${y + 6}M${x - way} ${y - 6}L${x - 11 * way} ${y + 6}`);
      default: return undefined;
    }
  }

  const passes = (row) => {
    if (helloBox.checked && row.hello) return false;
    if (endBox.value && row.end !== endBox.value) return false;
    if (hostBox.value && row.kind !== "step") {
      const host = Number(hostBox.value);
      if (row.from !== host && row.to !== host && row.host !== host) return false;
    }
    const wanted = searchBox.value.trim().toLowerCase();
    return !wanted || row.search.includes(wanted);
  };

  // Where lanes stand: side by side in the room there is, and wider than it only when they must be.
  function measure() {
    const room = drawing.clientWidth;
    const narrow = room < 560;
    const times = narrow ? 58 : 84;
    const side = narrow ? 26 : 64;
    const lanes = Math.max(1, shown.length - 1);
    const lane = Math.max(narrow ? 58 : 96, Math.min(420, (room - times - 2 * side) / lanes));
    const x = (host) => times + side + lane * Math.max(0, shown.indexOf(data.hosts[host]));
    const width = Math.max(room, times + 2 * side + lane * (shown.length - 1));
    return { narrow, times, x, width, letter: narrow ? 6.05 : 7.25 };
  }

  function place() {
    tops = [];
    const pauses = rows.map((row, index) => (index === 0 ? 0 : Math.max(0, row.at - rows[index - 1].at)));
    const unit = gapBox.checked ? GAP_MAX / pauses.reduce((most, pause) => Math.max(most, pause), 1) : 0;
    let y = TOP;
    rows.forEach((row, index) => {
      y += pauses[index] * unit;
      tops.push(y);
      y += ROW;
    });
    return y + BOTTOM;
  }

  function draw() {
    const keep = rows[selected];
    const scrolled = scrollY;
    rows = data.rows.filter(passes);
    selected = rows.indexOf(keep);
    geometry = measure();
    const height = place();
    drawing.replaceChildren();
    heads.replaceChildren();
    painted = [0, 0];
    if (rows.length === 0) {
      html("p", drawing, "Nothing passes the filter.", "empty");
      return;
    }
    const { x, width } = geometry;
    drawHeads();
    const picture = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "presentation" }, drawing);
    for (const host of shown) {
      const index = data.hosts.indexOf(host);
      svg("line", { x1: x(index), x2: x(index), y1: 0, y2: height - 4, class: host.node ? "lane" : "lane outside" }, picture);
    }
    layer = svg("g", { role: "presentation" }, picture);
    // For a moment the page was too short to be where it was.
    scrollTo(scrollX, scrolled);
    paint();
  }

  // The lanes' names stay in sight while their arrows scroll by.
  function drawHeads() {
    const { x, width, narrow, times } = geometry;
    const picture = svg("svg", { width, height: narrow ? 28 : 46, class: "names" }, heads);
    svg("text", { x: times - 12, y: 20, class: "time" }, picture, "seconds");
    for (const host of shown) {
      const lane = x(data.hosts.indexOf(host));
      const title = cut(host.name, narrow ? 9 : 14);
      svg("text", { x: Math.min(lane, width - title.length * 4.2), y: 20, class: host.node ? "name" : "name outside" }, picture, title);
      if (!narrow) svg("text", { x: lane, y: 38, class: "address" }, picture, host.address);
    }
    heads.scrollLeft = drawing.scrollLeft;
  }

  // Draws the rows that can be seen, or all when they are few.
  function paint() {
    if (!layer || rows.length === 0) return;
    let [first, end] = [0, rows.length];
    if (rows.length > DRAWN_WHOLE) {
      const above = -drawing.getBoundingClientRect().top;
      first = lowerBound(above - MARGIN);
      end = lowerBound(above + innerHeight + MARGIN) + 1;
      const near = MARGIN / 2;
      const covered = painted[1] > painted[0] && lowerBound(above - near) >= painted[0] && lowerBound(above + innerHeight + near) + 1 <= painted[1];
      if (covered) return;
    }
    painted = [first, Math.min(end, rows.length)];
    const fresh = document.createDocumentFragment();
    for (let at = painted[0]; at < painted[1]; at += 1) drawRow(at, fresh);
    layer.replaceChildren(fresh);
    mark();
  }

  function lowerBound(y) {
    let [low, high] = [0, tops.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (tops[middle] + ROW < y) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  function drawRow(at, parent) {
    const row = rows[at];
    const y = tops[at];
    const { width, times } = geometry;
    const kind = row.kind === "datagram" ? word(row.end) : row.kind;
    const group = svg("g", { class: `row ${kind}`, id: `row-${row.row}`, "data-place": at, "data-row": row.row, role: "option", "aria-selected": "false", "aria-label": described(row) }, parent);
    svg("rect", { x: 1, y: y + 1, width: width - 2, height: ROW - 2, rx: 5, class: "hit" }, group);
    svg("text", { x: times - 12, y: y + WIRE + 4, class: "time" }, group, clock(row.at));
    if (row.kind === "datagram") drawDatagram(row, y, group);
    else drawNote(row, y, group);
  }

  function described(row) {
    if (row.kind !== "datagram") return `${exact(row.at)}: ${row.text}`;
    return `${exact(row.at)}: ${says(row)}, from ${name(row.from)} to ${name(row.to)}, ${row.end}`;
  }

  function drawDatagram(row, top, group) {
    const { x, width, times, letter } = geometry;
    const y = top + WIRE;
    const how = ENDS[row.end] || ENDS["on its way"];
    const [from, whole] = [x(row.from), x(row.to ?? row.from)];
    const self = whole === from;
    const way = whole >= from ? 1 : -1;
    const broken = row.end === "lost" || row.end === "on its way";
    const to = self ? from + 46 : broken ? from + (whole - from) * 0.6 : whole;
    const wire = svg("path", { d: `M${from} ${y}H${to - way * (how.tip === "none" || how.tip === "gone" ? 4 : 10)}`, class: "wire" }, group);
    if (how.dash) wire.setAttribute("stroke-dasharray", how.dash);
    // Who began it: a node from its lane, somebody else from a square of his own, a copy from two.
    if (row.way !== "socket") svg("rect", { x: from - 3.5, y: y - 3.5, width: 7, height: 7, class: "origin" }, group);
    if (row.way === "duplicated") svg("rect", { x: from + way * 6 - 3.5, y: y - 3.5, width: 7, height: 7, class: "origin" }, group);
    tip(how.tip, to, y, way, group);
    const said = WELL.includes(row.end) ? "" : ` ${row.end}`;
    const text = cut(says(row), Math.floor((width - times - 8) / letter) - said.length);
    const half = ((text.length + said.length) * letter) / 2;
    const middle = Math.max(times + 2 + half, Math.min(width - 4 - half, (from + (self ? to : whole)) / 2));
    const line = svg("text", { x: middle, y: top + TEXT, class: "what" }, group, text);
    if (said) svg("tspan", { class: "end" }, line, said);
  }

  function drawNote(row, top, group) {
    const { x, width, times, letter } = geometry;
    const isEvent = row.kind === "event";
    const room = width - times - 10;
    const text = cut(row.text, Math.floor((room - 20) / letter));
    const long = isEvent ? text.length * letter + 22 : room;
    const left = isEvent ? Math.max(times + 4, Math.min(width - long - 4, x(row.host) - long / 2)) : times + 4;
    const note = svg("g", { class: "note" }, group);
    svg("rect", { x: left, y: top + 8, width: long, height: 23, rx: isEvent ? 11.5 : 4 }, note);
    svg("text", { x: left + 11, y: top + 24 }, note, text);
  }

  function show(row) {
    panel.replaceChildren();
    panel.hidden = false;
    stage.classList.add("open");
    const bar = html("div", panel, undefined, "steps");
    button(bar, "‹", "The one before", () => select(selected - 1));
    button(bar, "›", "The next one", () => select(selected + 1));
    button(bar, "×", "Close", hide);
    if (row.kind !== "datagram") {
      html("h2", panel, { step: "Step of the scenario", event: `At ${name(row.host)}`, violation: "An invariant does not hold" }[row.kind]);
      html("p", panel, row.text);
      list([["when", exact(row.at)]]);
      return;
    }
    html("h2", panel, (row.label ? `${row.label}: ` : "") + row.contents);
    const verdict = html("p", panel, undefined, `verdict-line ${word(row.end)}`);
    html("span", verdict, row.end, "verdict");
    verdict.append(`${row.reason ? ` (${row.reason})` : ""}. ${(ENDS[row.end] || ENDS["on its way"]).meaning}`);
    const isSealed = row.bytes.length > 26 && row.bytes.slice(6, 10) !== "0000";
    list([
      ["sealed by", row.sealed || (isSealed ? "no session of this run" : "nobody: it is in the clear")],
      ["clause", row.clause],
      ["carries", row.carries && `${row.carries}, as its sender says`],
      ["sent", `${exact(row.at)} by ${name(row.from)}${{ socket: "", injected: ", put on the wire", duplicated: ", by the network itself" }[row.way] ?? `, ${row.way}`}`],
      ["ended", row.ended === undefined ? "" : `${exact(row.ended)}${row.to === null || row.end === "lost" ? "" : ` at ${name(row.to)}`}`],
      ["from", owned(row.source)], ["to", owned(row.destination)],
      ["copy of", row.copy_of === null ? "" : `datagram ${row.copy_of}`],
      ["bytes", String(row.bytes.length / 2)],
    ]);
    for (const record of dissect(row.bytes, row.suite)) showRecord(record);
    html("h3", panel, "All bytes");
    html("pre", panel, row.bytes.replace(/../g, "$& ").trimEnd());
  }

  function owned(address) {
    const host = hostOf(address);
    return host ? `${address} (${host.name})` : address;
  }

  function list(pairs) {
    const all = html("dl", panel);
    for (const [term, text] of pairs) {
      if (!text) continue;
      html("dt", all, term);
      html("dd", all, text);
    }
  }

  function button(parent, text, title, act) {
    const made = html("button", parent, text);
    made.type = "button";
    made.title = title;
    made.setAttribute("aria-label", title);
    made.addEventListener("click", act);
    return made;
  }

  // The header as it lies in the datagram, then the same as a table.
  function showRecord({ title, header, body }) {
    html("h3", panel, title);
    if (header.length) {
      const ruler = html("div", panel, undefined, "ruler");
      ruler.setAttribute("aria-hidden", "true");
      header.forEach((field, index) => {
        const cell = html("div", ruler, undefined, `field f${index}`);
        cell.style.flexGrow = field.length;
        html("b", cell, field.bytes.join(" "));
        html("span", cell, { "content type": "type", "sequence number": "sequence" }[field.name] || field.name);
      });
    }
    const table = html("table", panel);
    const head = html("tr", html("thead", table));
    for (const column of ["at", "bytes", "field"]) html("th", head, column).scope = "col";
    const lines = html("tbody", table);
    [...header, ...body].forEach((field, index) => {
      const line = html("tr", lines, undefined, index < header.length ? `f${index}` : "");
      html("td", line, String(field.at), "at");
      html("td", line, field.bytes.length > 16 ? `${field.bytes.slice(0, 16).join(" ")} …` : field.bytes.join(" "), "bytes");
      const meaning = html("td", line);
      html("span", meaning, field.name, "field-name");
      meaning.append(` ${field.meaning}`);
    });
  }

  function hide() {
    panel.hidden = true;
    selected = -1;
    if (stage.classList.contains("open")) {
      stage.classList.remove("open");
      draw();
    }
    mark();
    drawing.focus({ preventScroll: true });
  }

  function mark() {
    for (const group of drawing.querySelectorAll("g.row.selected")) {
      group.classList.remove("selected");
      group.setAttribute("aria-selected", "false");
    }
    drawing.removeAttribute("aria-activedescendant");
    const group = layer && layer.querySelector(`g.row[data-place="${selected}"]`);
    if (!group) return;
    group.classList.add("selected");
    group.setAttribute("aria-selected", "true");
    drawing.setAttribute("aria-activedescendant", group.id);
  }

  // Scrolls no more than it takes: what is read keeps its place.
  function reveal() {
    if (selected < 0) return;
    const top = drawing.getBoundingClientRect().top + tops[selected];
    const covered = panel.hidden || getComputedStyle(panel).position !== "fixed" ? 0 : panel.offsetHeight;
    const above = heads.offsetHeight + (getComputedStyle(tools).position === "sticky" ? tools.offsetHeight : 0) + 8;
    const below = innerHeight - covered - ROW - 12;
    if (top < above) scrollBy(0, top - above - 40);
    else if (top > below) scrollBy(0, top - below + 40);
    paint();
    mark();
  }

  function select(at) {
    if (rows.length === 0) return;
    selected = Math.max(0, Math.min(rows.length - 1, at));
    const wasOpen = stage.classList.contains("open");
    show(rows[selected]);
    if (!wasOpen) draw();
    reveal();
  }

  function filter() {
    draw();
    for (const choice of element("legend").querySelectorAll("button")) choice.setAttribute("aria-pressed", String(choice.dataset.end === endBox.value));
  }

  drawing.addEventListener("click", (event) => {
    const group = event.target.closest("g.row");
    if (group) select(Number(group.dataset.place));
  });
  drawing.addEventListener("scroll", () => { heads.scrollLeft = drawing.scrollLeft; }, { passive: true });

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.matches("input[type=search], select")) {
      if (event.key === "Escape" || (event.key === "Enter" && event.target === searchBox)) {
        drawing.focus({ preventScroll: true });
        if (event.key === "Enter") select(0);
        event.preventDefault();
      }
      return;
    }
    const before = selected < 0 ? 0 : selected - 1;
    const steps = { j: selected + 1, ArrowDown: selected + 1, k: before, ArrowUp: before, Home: 0, End: rows.length - 1 };
    if (Object.hasOwn(steps, event.key)) select(steps[event.key]);
    else if (event.key === "Enter" && event.target === drawing && selected < 0) select(0);
    else if (event.key === "Escape") hide();
    else if (event.key === "/") searchBox.focus();
    else if (event.key === "h") helloBox.click();
    else return;
    event.preventDefault();
  });

  let waiting = false;
  addEventListener("scroll", () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; paint(); });
  }, { passive: true });
  let width = innerWidth;
  addEventListener("resize", () => {
    if (innerWidth === width) return paint();
    width = innerWidth;
    draw();
  });

  for (const row of data.rows) {
    const texts = [row.text, row.label, row.contents, row.end, row.reason, row.sealed, row.clause, row.source, row.destination, row.carries];
    row.search = texts.filter(Boolean).join(" ").toLowerCase();
  }
  const hellos = data.rows.filter((row) => row.hello).length;
  element("hellos-text").textContent = hellos ? `hide ${hellos} of the nodes’ hellos` : "hide the nodes’ hellos";
  const used = new Set(data.rows.map((row) => row.end).filter(Boolean));
  for (const end of Object.keys(ENDS).filter((end) => used.has(end))) {
    endBox.append(new Option(end, end));
    const item = html("li", element("legend"), undefined, word(end));
    const choice = html("button", item);
    choice.type = "button";
    choice.title = ENDS[end].meaning;
    choice.dataset.end = end;
    choice.setAttribute("aria-pressed", "false");
    choice.addEventListener("click", () => {
      endBox.value = endBox.value === end ? "" : end;
      filter();
    });
    const sample = svg("svg", { width: 54, height: 18, "aria-hidden": "true" }, choice);
    const wire = svg("path", { d: "M2 9H40", class: "wire" }, sample);
    if (ENDS[end].dash) wire.setAttribute("stroke-dasharray", ENDS[end].dash);
    tip(ENDS[end].tip, ENDS[end].tip === "gone" ? 44 : 50, 9, 1, sample);
    html("span", choice, end);
  }
  data.hosts.forEach((host, index) => hostBox.append(new Option(host.name, String(index))));
  for (const box of [endBox, hostBox, helloBox, gapBox]) box.addEventListener("change", filter);
  searchBox.addEventListener("input", filter);
  tools.hidden = false;
  element("fallback").open = false;
  filter();
})();
