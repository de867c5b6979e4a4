// The gallery: shows the samples that gallery.js holds.
"use strict";

(function () {
  const data = window.dejavuGallery;
  const models = [...new Set(data.samples.map((sample) => sample.model))];
  const labels = [...new Set(data.samples.flatMap((sample) => sample.objects))].sort();
  for (const model of models) option(document.getElementById("model"), model, model);
  for (const label of labels) option(document.getElementById("object"), label, label);
  if (models.length) document.getElementById("model").value = models[0];

  const smallest = (sample) => Math.min(1, ...sample.evidence.map((line) => line.p_value));
  const isListed = (sample) => sample.evidence.some((line) => line.is_listed);
  const percent = (share) => (100 * share).toFixed(share > 0 && share < 0.1 ? 1 : 0) + " %";

  function tag(label, sample, kind) {
    const unnamed = sample.unnamed.includes(label);
    const mark = unnamed ? "unnamed" : "named";
    const told = element("span", { class: "aside" }, unnamed ? " (not named in the caption)" : " (named in the caption)");
    return element("span", { class: `tag ${kind} ${mark}`, dir: "auto" }, label, told);
  }

  function ordered(sample, chosen) {
    return [...chosen].sort((x, y) => sample.unnamed.includes(y) - sample.unnamed.includes(x) || (x < y ? -1 : 1));
  }

  function picture(sample) {
    const frame = element("div", { class: "frame" });
    frame.append(element("img", { src: `images/${sample.row}.jpg`, alt: "image of: " + sample.caption.slice(0, 120) }));
    for (const [label, left, top, width, height] of sample.boxes) {
      const style = `left:${left}%;top:${top}%;width:${width}%;height:${height}%`;
      frame.append(element("div", { class: "box", style: style, title: label, "aria-hidden": "true" }));
    }
    return frame;
  }

  function neighbor(place, similarity, sample) {
    const image = data.public[place];
    const shared = ordered(sample, image.objects.filter((label) => sample.objects.includes(label)));
    const alt = "image of: " + image.caption.slice(0, 120);
    const shown = element("li", { class: "neighbor" });
    if (image.hasImage) shown.append(element("img", { src: `images/${image.row}.jpg`, alt: alt, loading: "lazy" }));
    else shown.append(element("p", { class: "absent", dir: "auto" }, image.caption.slice(0, 60)));
    shown.append(element("p", { class: "similarity" }, similarity.toFixed(2)));
    shown.append(...shared.map((label) => tag(label, sample, "small")));
    return shown;
  }

  function who(sample, side) {
    if (sample.oneModel) return side === "a" ? "the model" : "the reference, which never saw an image";
    if (sample.role === "holdout") return `model ${side}, which never saw this pair`;
    return side === sample.side ? `model ${side}, which was trained on this pair` : `model ${side}, which never saw it`;
  }

  function side(sample, name) {
    const flat = sample.neighbors[name];
    const places = flat.filter((_, i) => i % 2 === 0);
    const seen = new Set(places.flatMap((place) => data.public[place].objects));
    const found = sample.objects.filter((label) => seen.has(label)).length;
    const heading = `${who(sample, name)}: found ${found} of ${sample.objects.length} objects`;
    const strip = element("ul", { class: "strip", tabindex: "0", role: "list", "aria-label": `Sample ${sample.place} of ${sample.model}, nearest public images, ${heading}` });
    strip.append(...places.map((place, i) => neighbor(place, flat[2 * i + 1] / 1000, sample)));
    const captions = element("ol", {});
    const folded = element("details", { class: "captions" }, element("summary", {}, "Captions of these images"), captions);
    folded.addEventListener("toggle", () => {
      if (!folded.open || captions.childElementCount) return;
      captions.append(...places.map((place) => strange(data.public[place].caption, "li", "", 400)));
    });
    return element("div", { class: "side" }, element("h3", { class: "small" }, heading), strip, folded);
  }

  function evidence(sample) {
    if (!sample.evidence.length) return null;
    const body = element("tbody", {});
    for (const line of sample.evidence) {
      const cells = [line.statistic, data.queries[line.query] || line.query, line.advantage.toFixed(3), line.p_value.toPrecision(2), line.q_value.toPrecision(2), line.is_listed ? "yes" : "no"];
      body.append(element("tr", {}, ...cells.map((cell, i) => element("td", { class: i > 1 ? "n" : null }, cell))));
    }
    const heads = ["statistic", "asked", "advantage", "p", "q", "listed"].map((head) => element("th", { scope: "col" }, head));
    const table = element("table", {}, element("caption", {}, "Evidence that this sample is remembered"), element("thead", {}, element("tr", {}, ...heads)), body);
    const region = element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `Evidence for sample ${sample.place} of ${sample.model}` }, table);
    return element("details", {}, element("summary", {}, "Evidence for this sample"), region);
  }

  const identity = (sample) => `sample-${sample.row}-${sample.model}-${sample.role === "holdout" ? sample.side : ""}`;

  function show(sample) {
    const holdout = sample.role === "holdout";
    const id = identity(sample);
    const about = element("div", { class: "training" }, picture(sample), strange(sample.caption));
    const gap = `${sample.gap > 0 ? "+" : ""}${sample.gap} unnamed objects`;
    about.append(element("p", { class: "uid", dir: "auto" }, `${sample.model}, role ${sample.role}, gap ${gap}, uid ${sample.uid.slice(0, 80)}`));
    const luck = holdout
      ? "Control: nobody was trained on this pair, so its gap is luck."
      : sample.luck === null ? null : `Of the training pairs with at least this gap, ${percent(sample.luck)} are expected by luck.`;
    if (luck) about.append(element("p", { class: "note" }, luck));
    about.append(element("p", {}, ...ordered(sample, sample.objects).map((label) => tag(label, sample, "outline"))));
    about.append(element("p", {}, element("a", { href: "#" + encodeURIComponent(id) }, "Link to this sample")));
    const more = evidence(sample);
    if (more) about.append(more);
    const other = sample.side === "a" ? "b" : "a";
    const sides = element("div", { class: "sides" }, side(sample, sample.side), side(sample, other));
    return element("article", { class: holdout ? "memory luck" : "memory", id: id, tabindex: "-1", "aria-label": `Sample ${sample.place} of ${sample.model}` }, about, sides);
  }

  browse({
    records: data.samples,
    size: 12,
    id: identity,
    text: (sample) => `${sample.caption} ${sample.uid}`,
    show: show,
    filters: {
      model: (sample, value) => sample.model === value,
      role: (sample, value) => (value === "trained" ? sample.role !== "holdout" : sample.role === value),
      object: (sample, value) => sample.objects.includes(value),
      significance: (sample, value) => (value === "listed" ? isListed(sample) : smallest(sample) <= 0.05),
    },
    sorts: {
      gap: (x, y) => y.gap - x.gap || x.place - y.place,
      p: (x, y) => smallest(x) - smallest(y),
      objects: (x, y) => y.objects.length - x.objects.length,
      caption: (x, y) => (x.caption < y.caption ? -1 : x.caption > y.caption ? 1 : 0),
    },
  });
})();
