// The evidence for single samples: shows the lines that evidence.js holds.
"use strict";

(function () {
  const data = window.dejavuEvidence;
  const lines = data.lines;
  const asked = (query) => data.queries[query] || query;
  for (const model of new Set(lines.map((line) => line.model))) option(document.getElementById("model"), model, model);
  for (const kind of new Set(lines.map((line) => line.statistic))) option(document.getElementById("statistic"), kind, kind);
  for (const query of new Set(lines.map((line) => line.query))) option(document.getElementById("query"), query, asked(query));

  const identity = (line) => `evidence-${line.row}-${line.model}-${line.statistic}-${line.query}`;

  function cell(text, style = null) {
    return element("td", { class: style }, text);
  }

  function show(line) {
    const sample = data.samples[line.row];
    const words = element("td", { class: "caption" }, strange(sample.caption, "p", "caption", 160));
    words.append(element("p", { class: "uid", dir: "auto" }, `role ${sample.role}, uid ${sample.uid.slice(0, 80)}`));
    if (line.inGallery) {
      const address = "gallery.html#" + encodeURIComponent(`sample-${line.row}-${line.model}-`);
      words.append(element("a", { href: address }, "See it in the gallery"));
    }
    const advantage = (line.advantage > 0 ? "+" : "") + line.advantage.toFixed(3);
    const error = line.std_error === null ? "–" : line.std_error.toFixed(3);
    const row = element("tr", { id: identity(line), tabindex: "-1" }, words, cell(line.model), cell(line.statistic), cell(asked(line.query)));
    row.append(cell(advantage, "n strong"), cell(error, "n"), cell(line.p_value.toPrecision(2), "n"));
    row.append(cell(line.q_value.toPrecision(2), "n"), cell(line.is_listed ? "listed" : "no"));
    return row;
  }

  browse({
    records: lines,
    size: 25,
    id: identity,
    text: (line) => `${data.samples[line.row].caption} ${data.samples[line.row].uid}`,
    show: show,
    filters: {
      model: (line, value) => line.model === value,
      statistic: (line, value) => line.statistic === value,
      query: (line, value) => line.query === value,
      significance: (line, value) => (value === "listed" ? line.is_listed : line.p_value <= 0.05),
    },
    sorts: {
      p: (x, y) => x.p_value - y.p_value,
      advantage: (x, y) => y.advantage - x.advantage,
      caption: (x, y) => (data.samples[x.row].caption < data.samples[y.row].caption ? -1 : 1),
    },
  });
})();
