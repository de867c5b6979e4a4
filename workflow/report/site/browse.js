// Filters, sorts and pages the samples that another script file holds. Every text from the data is set as text, never
// as HTML, because captions and labels come from strangers.
"use strict";

/** Return an element with attributes and children; children that are strings become text. */
function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

/** Return a text of strangers as an element: its own direction of reading, and a fold for what is too long. */
function strange(text, name = "p", style = "caption", most = 280) {
  const made = element(name, { class: style, dir: "auto" });
  if (text.length <= most) {
    made.append(text);
    return made;
  }
  made.append(text.slice(0, most) + "…");
  const whole = element("details", {}, element("summary", {}, "all " + text.length + " characters"));
  whole.append(element("p", { class: "whole", dir: "auto" }, text));
  const box = element("div", {});
  box.append(made, whole);
  return box;
}

function option(select, value, text) {
  select.append(element("option", { value: value }, text));
}

/**
 * Let people browse records.
 *
 * @param {object} view  records; text (record -> what the search looks through); filters (id of a control -> function of
 *   record and value); sorts (value -> function that compares two records); show (record -> element); size of a page.
 */
function browse(view) {
  const form = document.getElementById("filters");
  const list = document.getElementById("records");
  const count = document.getElementById("count");
  const [back, next] = [document.getElementById("back"), document.getElementById("next")];
  const lowered = view.records.map((record) => view.text(record).toLowerCase());
  const order = view.records.map((_, i) => i);
  let found = order;
  let page = 0;

  function value(id) {
    const control = document.getElementById(id);
    return control ? control.value : "";
  }

  function choose() {
    const words = value("search").toLowerCase().split(/\s+/).filter(Boolean);
    found = order.filter(
      (i) =>
        words.every((word) => lowered[i].includes(word)) &&
        Object.entries(view.filters).every(([id, keep]) => !value(id) || keep(view.records[i], value(id))),
    );
    const compare = view.sorts[value("sort")];
    if (compare) found.sort((i, j) => compare(view.records[i], view.records[j]) || i - j);
  }

  function draw() {
    const pages = Math.max(1, Math.ceil(found.length / view.size));
    page = Math.min(Math.max(page, 0), pages - 1);
    const from = page * view.size;
    const part = found.slice(from, from + view.size);
    list.replaceChildren(...part.map((i) => view.show(view.records[i])));
    count.textContent =
      found.length === 0
        ? "No sample fits."
        : `${from + 1} to ${from + part.length} of ${found.length.toLocaleString("en")}`;
    back.disabled = page === 0;
    next.disabled = page === pages - 1;
  }

  function goTo(id) {
    const place = view.records.findIndex((record) => view.id(record) === id);
    if (place < 0) return;
    if (!found.includes(place)) {
      form.reset();
      for (const control of form.elements) if (control.tagName === "SELECT" && control.id !== "sort") control.value = "";
      choose();
    }
    page = Math.floor(found.indexOf(place) / view.size);
    draw();
    const target = document.getElementById(id);
    target.scrollIntoView();
    target.focus({ preventScroll: true });
  }

  function restart() {
    page = 0;
    choose();
    draw();
  }

  function follow() {
    let id = location.hash.slice(1);
    try {
      id = decodeURIComponent(id);
    } catch {
      return;
    }
    goTo(id);
  }

  form.hidden = false;
  form.addEventListener("input", restart);
  // some tools that choose for people send this event alone
  form.addEventListener("change", restart);
  form.addEventListener("submit", (event) => event.preventDefault());
  back.addEventListener("click", () => { page -= 1; draw(); list.focus(); });
  next.addEventListener("click", () => { page += 1; draw(); list.focus(); });
  window.addEventListener("hashchange", follow);
  restart();
  if (location.hash) follow();
}
