"use strict";
(() => {
  const data = JSON.parse(document.getElementById("trace").textContent);
  const drawing = document.getElementById("drawing");
  const stage = document.getElementById("stage");
  const panel = document.getElementById("panel");
  const lockBox = document.getElementById("by-end");
  const hostBox = document.getElementById("by-host");
  const searchBox = document.getElementById("by-text");
  const helloBox = document.getElementById("hellos");
  const SVG = "http://www.w3.org/2000/svg";

  // How each end is drawn: the dashes of its wire and the shape at its tip. Colour only repeats it.
  const SHAPES = {
    accepted: { dash: "", tip: "arrow" }, read: { dash: "", tip: "ring" }, challenged: { dash: "", tip: "hollow" },
    kernel: { dash: "2 4", tip: "square" }, demux: { dash: "9 4", tip: "diamond" }, gate: { dash: "1 4", tip: "bar" },
    replay: { dash: "10 3 2 3", tip: "double" }, "record-auth": { dash: "6 3", tip: "cross" },
    identity: { dash: "14 4", tip: "triangle" }, killed: { dash: "", tip: "star" },
    lost: { dash: "3 5", tip: "cross" }, "on its way": { dash: "3 5", tip: "none" },
  };
  const ROW = 34, TOP = 64, TIMES = 96;
  let rows = [], selected = -1;

  const make = (name, attributes, parent, text) => {
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
  const css = (word) => word.replaceAll(" ", "-");
  const seconds = (ns) => (ns / 1e9).toFixed(6) + " s";

  const tip = (shape, x, y, way, parent) => {
    const path = (d, hollow) => make("path", { d, class: hollow ? "tip hollow" : "tip" }, parent);
    const b = x - way * 9;
    switch (shape) {
      case "arrow": return path(`M${x} ${y}L${b} ${y - 5}L${b} ${y + 5}Z`);
      case "hollow": return path(`M${x} ${y}L${b} ${y - 5}L${b} ${y + 5}Z`, true);
      case "triangle": return path(`M${b} ${y}L${x} ${y - 6}L${x} ${y + 6}Z`, true);
      case "square": return make("rect", { x: Math.min(x, b), y: y - 4.5, width: 9, height: 9, class: "tip" }, parent);
      case "diamond": return path(`M${x} ${y}L${x - way * 6} ${y - 6}L${x - way * 12} ${y}L${x - way * 6} ${y + 6}Z`, true);
      case "bar": return path(`M${x - way * 2} ${y - 8}L${x - way * 2} ${y + 8}M${x - way * 6} ${y - 8}L${x - way * 6} ${y + 8}`);
      case "ring": return make("circle", { cx: x - way * 5, cy: y, r: 5, class: "tip hollow" }, parent);
      case "double":
        make("circle", { cx: x - way * 6, cy: y, r: 6, class: "tip hollow" }, parent);
        return make("circle", { cx: x - way * 6, cy: y, r: 2, class: "tip" }, parent);
      case "cross": return path(`M${b - 4} ${y - 6}L${b + 8} ${y + 6}M${b + 8} ${y - 6}L${b - 4} ${y + 6}`);
      case "star": return path(`M${b - 5} ${y}L${b + 7} ${y}M${b + 1} ${y - 7}L${b + 1} ${y + 7}M${b - 4} ${y - 5}L${b + 6} ${y + 5}M${b + 6} ${y - 5}L${b - 4} ${y + 5}`);
    }
  };

  const visible = (row) => {
    if (helloBox.checked && row.hello) return false;
    if (lockBox.value && row.end !== lockBox.value) return false;
    if (hostBox.value) {
      const host = Number(hostBox.value);
      if (row.from !== host && row.to !== host && row.host !== host && row.kind !== "step") return false;
    }
    const wanted = searchBox.value.trim().toLowerCase();
    return !wanted || row.search.includes(wanted);
  };

  const laneWidth = () => {
    const room = drawing.clientWidth - TIMES - 60;
    return Math.max(150, Math.min(330, room / Math.max(1, data.hosts.length - 0.4)));
  };

  function draw() {
    const keep = rows[selected];
    rows = data.rows.filter(visible);
    selected = rows.indexOf(keep);
    drawing.replaceChildren();
    if (rows.length === 0) {
      html("p", drawing, "Nothing passes the filter.", "empty");
      return;
    }
    const lane = laneWidth();
    const x = (host) => TIMES + 40 + lane * (host + 0.25);
    const width = x(data.hosts.length - 1) + Math.max(90, lane * 0.45);
    const height = TOP + rows.length * ROW + 20;
    const svg = make("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": "Datagrams between the hosts, time downwards; the table below says the same" });
    data.hosts.forEach((host, index) => {
      make("line", { x1: x(index), x2: x(index), y1: TOP - 14, y2: height - 8, class: "lane" }, svg);
      make("text", { x: x(index), y: 22, class: "name" }, svg, host.name);
      make("text", { x: x(index), y: 39, class: "address" }, svg, host.address);
    });
    rows.forEach((row, place) => {
      const y = TOP + place * ROW + ROW / 2;
      const group = make("g", { class: `row ${css(row.end || row.kind)}`, "data-place": place, "data-row": row.row }, svg);
      make("rect", { x: 2, y: y - ROW / 2 + 1, width: width - 4, height: ROW - 2, rx: 4, class: "hit" }, group);
      make("text", { x: TIMES - 4, y: y + 8, class: "time" }, group, seconds(row.at));
      if (row.kind === "datagram") drawDatagram(row, y, x, lane, group);
      else drawNote(row, y, x, width, group);
    });
    svg.addEventListener("click", (event) => {
      const group = event.target.closest("g.row");
      if (group) select(Number(group.dataset.place));
    });
    drawing.append(svg);
    mark();
  }

  function drawDatagram(row, y, x, lane, group) {
    const shape = SHAPES[row.end] || SHAPES["on its way"];
    const from = x(row.from), whole = x(row.to ?? row.from);
    const self = whole === from;
    const way = whole >= from ? 1 : -1;
    const to = self ? from + 60 : row.end === "lost" || row.end === "on its way" ? from + (whole - from) * 0.62 : whole;
    const back = shape.tip === "none" ? 0 : 9;
    const wire = make("path", { d: `M${from} ${y + 5}L${to - way * back} ${y + 5}`, class: `wire ${css(row.end)}` }, group);
    if (shape.dash) wire.setAttribute("stroke-dasharray", shape.dash);
    tip(shape.tip, to, y + 5, way, group);
    const fits = Math.max(12, Math.floor(Math.abs(whole - from || lane) / 7.3) - 2);
    const text = (row.label ? `${row.label}: ` : "") + row.contents;
    make("text", { x: (from + to) / 2 + (self ? 70 : 0), y: y - 2, class: "what" }, group, text.length > fits ? text.slice(0, fits - 1) + "…" : text);
    if (row.end !== "accepted" && row.end !== "read") {
      const anchor = way > 0 ? "start" : "end";
      make("text", { x: to + way * 9, y: y + 9, class: "end", "text-anchor": anchor }, group, row.end);
    }
    make("title", {}, group, `${text} — ${row.end}`);
  }

  function drawNote(row, y, x, width, group) {
    const left = row.kind === "event" ? x(row.host) - 70 : TIMES + 12;
    const room = row.kind === "event" ? Math.max(150, Math.min(420, width - left - 12)) : width - left - 12;
    const note = make("g", { class: `note ${row.kind}` }, group);
    const fits = Math.floor(room / 7.4) - 2;
    const text = row.text.length > fits ? row.text.slice(0, fits - 1) + "…" : row.text;
    make("rect", { x: left, y: y - 11, width: row.kind === "event" ? Math.min(room, text.length * 7.4 + 18) : room, height: 22, rx: 11 }, note);
    make("text", { x: left + 10, y: y + 4 }, note, text);
    make("title", {}, group, row.text);
  }

  const TYPES = { 20: "ChangeCipherSpec", 21: "alert", 22: "handshake", 23: "application data", 24: "heartbeat", 25: "tls12_cid" };
  const VERSIONS = { feff: "DTLS 1.0", fefd: "DTLS 1.2" };
  const MESSAGES = { 0: "HelloRequest", 1: "ClientHello", 2: "ServerHello", 3: "HelloVerifyRequest", 11: "Certificate", 12: "ServerKeyExchange", 13: "CertificateRequest", 14: "ServerHelloDone", 15: "CertificateVerify", 16: "ClientKeyExchange", 20: "Finished" };

  // Takes the records of a datagram apart, field by field: offset, bytes, name, meaning.
  function dissect(hex, suite) {
    const bytes = hex.match(/../g) || [];
    const number = (at, len) => parseInt(bytes.slice(at, at + len).join("") || "0", 16);
    const records = [];
    let at = 0;
    while (at < bytes.length) {
      if (bytes.length - at < 13) {
        records.push({ title: `${bytes.length - at} bytes that are no record`, fields: [[at, bytes.slice(at).join(" "), "rest", "shorter than the 13 bytes of a header"]] });
        break;
      }
      const type = number(at, 1), epoch = number(at + 3, 2), length = number(at + 11, 2);
      const version = bytes.slice(at + 1, at + 3).join("");
      const field = (offset, len, name, meaning) => [at + offset, bytes.slice(at + offset, at + offset + len).join(" "), name, meaning];
      const fields = [
        field(0, 1, "content type", `${type}: ${TYPES[type] || "unknown"}`),
        field(1, 2, "version", VERSIONS[version] || `unknown (0x${version})`),
        field(3, 2, "epoch", epoch === 0 ? "0: in the clear" : `${epoch}: protected by the session's keys`),
        field(5, 6, "sequence number", `${number(at + 5, 6)}, 48 bits, counted by the sender`),
        field(11, 2, "length", `${length} bytes follow`),
      ];
      const have = Math.min(length, bytes.length - at - 13);
      if (have < length) fields.push(field(13, have, "body", `cut: ${have} of ${length} bytes`));
      else if (epoch > 0) fields.push(...sealedFields(field, length, suite));
      else if (type === 22) fields.push(...messages(at + 13, length, number, bytes));
      else fields.push(field(13, length, "body", type === 21 ? "level and description" : `${length} bytes`));
      records.push({ title: `Record at byte ${at}: ${TYPES[type] || "unknown type"}, epoch ${epoch}`, fields });
      at += 13 + length;
    }
    return records;
  }

  function sealedFields(field, length, suite) {
    const short = (offset, len, name, meaning) => {
      const whole = field(13 + offset, len, name, meaning);
      if (len > 16) whole[1] = whole[1].slice(0, 47) + " …";
      return whole;
    };
    if (suite.includes("CHACHA20") && length >= 16) {
      return [short(0, length - 16, "ciphertext", `${length - 16} bytes; the nonce is made from the number and not sent`), short(length - 16, 16, "tag", "authenticates header and ciphertext")];
    }
    if (suite.includes("GCM") && length >= 24) {
      return [short(0, 8, "explicit nonce", "with 4 secret bytes the nonce of AES-GCM"), short(8, length - 24, "ciphertext", `${length - 24} bytes, as long as the plaintext`), short(length - 16, 16, "tag", "authenticates header and ciphertext")];
    }
    if (suite && length >= 32) {
      return [short(0, 16, "IV", "of the first block of CBC"), short(16, length - 16, "ciphertext", `${length - 16} bytes: payload, padding and MAC`)];
    }
    return [short(0, length, "body", `${length} bytes, sealed`)];
  }

  function messages(start, length, number, bytes) {
    const fields = [];
    let at = start;
    while (at + 12 <= start + length) {
      const fragment = number(at + 9, 3);
      fields.push([at, bytes.slice(at, at + 12).join(" "), MESSAGES[number(at, 1)] || "message", `${number(at + 1, 3)} bytes, message ${number(at + 4, 2)}, fragment from ${number(at + 6, 3)}, ${fragment} bytes`]);
      at += 12 + fragment;
    }
    return fields;
  }

  function show(row) {
    panel.replaceChildren();
    panel.hidden = false;
    stage.classList.add("open");
    const close = html("button", panel, "×", "close");
    close.setAttribute("aria-label", "Close");
    close.addEventListener("click", hide);
    const list = (pairs) => {
      const dl = html("dl", panel);
      for (const [name, value] of pairs) if (value) { html("dt", dl, name); html("dd", dl, value); }
      return dl;
    };
    if (row.kind !== "datagram") {
      html("h2", panel, row.kind === "step" ? "Step of the scenario" : row.kind === "event" ? `Event at ${data.hosts[row.host].name}` : "Violation");
      html("p", panel, row.text);
      list([["when", seconds(row.at)]]);
      return;
    }
    html("h2", panel, (row.label ? `${row.label}: ` : "") + row.contents);
    const verdict = html("p", panel, undefined, css(row.end));
    html("span", verdict, row.end, "verdict");
    if (row.reason) verdict.append(` (${row.reason})`);
    list([
      ["sent", `${seconds(row.at)} by ${data.hosts[row.from].name}${row.way === "socket" ? "" : `, ${row.way}`}`],
      ["ended", row.ended === undefined ? "" : `${seconds(row.ended)}${row.to === null ? "" : ` at ${data.hosts[row.to].name}`}`],
      ["from", row.source], ["to", row.destination], ["bytes", String(row.bytes.length / 2)],
      ["copy of", row.copy_of === null ? "" : `datagram ${row.copy_of}`],
      ["sealed by", row.sealed || (row.bytes.slice(6, 10) !== "0000" && row.bytes.length > 26 ? "no session of this run" : "")],
      ["clause", row.clause],
    ]);
    for (const record of dissect(row.bytes, row.suite)) {
      html("h3", panel, record.title);
      const table = html("table", panel);
      const head = html("tr", table);
      for (const name of ["at", "bytes", "field", "meaning"]) html("th", head, name);
      for (const [offset, bytes, name, meaning] of record.fields) {
        const line = html("tr", table);
        html("td", line, String(offset));
        html("td", line, bytes, "bytes");
        html("td", line, name);
        html("td", line, meaning);
      }
    }
    html("h3", panel, "All bytes");
    html("pre", panel, row.bytes.replace(/../g, "$& "));
  }

  function hide() {
    panel.hidden = true;
    stage.classList.remove("open");
    selected = -1;
    mark();
    drawing.focus();
  }

  function mark() {
    drawing.querySelectorAll("g.row.selected").forEach((group) => group.classList.remove("selected"));
    const group = drawing.querySelector(`g.row[data-place="${selected}"]`);
    if (!group) return;
    group.classList.add("selected");
    const box = group.getBoundingClientRect();
    if (box.top < 110 || box.bottom > innerHeight - 60) group.scrollIntoView({ block: "center" });
  }

  function select(place) {
    if (rows.length === 0) return;
    selected = Math.max(0, Math.min(rows.length - 1, place));
    const wasOpen = stage.classList.contains("open");
    show(rows[selected]);
    if (wasOpen) mark(); else draw();
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.matches("input, select")) {
      if (event.key === "Escape") drawing.focus();
      return;
    }
    const steps = { j: selected + 1, ArrowDown: selected + 1, k: selected < 0 ? 0 : selected - 1, ArrowUp: selected < 0 ? 0 : selected - 1, Home: 0, End: rows.length - 1 };
    if (event.key in steps) { select(steps[event.key]); event.preventDefault(); }
    else if (event.key === "Escape") hide();
    else if (event.key === "/") { searchBox.focus(); event.preventDefault(); }
    else if (event.key === "h") { helloBox.checked = !helloBox.checked; draw(); }
  });

  for (const row of data.rows) row.search = `${row.text || ""} ${row.label || ""} ${row.contents || ""} ${row.end || ""} ${row.reason || ""} ${row.sealed || ""}`.toLowerCase();
  const ends = [...new Set(data.rows.map((row) => row.end).filter(Boolean))].sort();
  for (const end of ends) lockBox.append(new Option(end, end));
  data.hosts.forEach((host, index) => hostBox.append(new Option(host.name, String(index))));
  const legend = document.getElementById("legend");
  for (const end of ends) {
    const item = html("li", legend, undefined, css(end));
    const svg = make("svg", { width: 56, height: 16, "aria-hidden": "true" }, item);
    const wire = make("path", { d: "M2 8L44 8", class: `wire ${css(end)}` }, svg);
    const shape = SHAPES[end] || SHAPES["on its way"];
    if (shape.dash) wire.setAttribute("stroke-dasharray", shape.dash);
    tip(shape.tip, 52, 8, 1, svg);
    html("span", item, end);
  }
  for (const box of [lockBox, hostBox, helloBox]) box.addEventListener("change", draw);
  searchBox.addEventListener("input", draw);
  let resizing;
  addEventListener("resize", () => { clearTimeout(resizing); resizing = setTimeout(draw, 80); });
  document.getElementById("tools").hidden = false;
  document.getElementById("fallback").open = false;
  draw();
})();
