// The script of a report: the evidence of failures, and the list of all tests. All text from the run is shown with
// textContent, so it cannot become markup.
"use strict";

const data = JSON.parse(document.getElementById("data").textContent);
// Number of tests on a page of the list.
const PAGE = 100;
const WORDS = { p: "passed", f: "failed", t: "timed out", u: "unknown", o: "other" };
const SHAPES = { p: "✓", f: "✗", t: "✗", u: "?", o: "?" };
const CLASSES = { p: "good", f: "bad", t: "bad", u: "unsure", o: "unsure" };
// The most severe first.
const SEVERITY = "ftuop";

// An element with properties and children; a text is a child too.
function make(tag, properties, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in element) {
      element[name] = value;
    } else {
      element.setAttribute(name, value);
    }
  }
  element.append(...children);
  return element;
}

function statusOf(letter) {
  const shape = make("span", { "aria-hidden": "true" }, SHAPES[letter] || "?");
  return make("span", { className: "status " + (CLASSES[letter] || "unsure") }, shape, " ", WORDS[letter] || "unknown");
}

function durationOf(milliseconds) {
  if (milliseconds === 0) {
    return "";
  }
  const seconds = milliseconds / 1000;
  return seconds < 60 ? seconds.toFixed(1) + " s" : Math.floor(seconds / 60) + " min " + Math.round(seconds % 60) + " s";
}

// A button below each failure shows its events, pods, nodes and log.
function addEvidence() {
  for (const article of document.querySelectorAll("article[data-failure]")) {
    const evidence = data.evidence[Number(article.dataset.failure)];
    if (!evidence || evidence.parts.length === 0) {
      continue;
    }
    const id = "evidence-" + article.dataset.failure;
    const titles = evidence.parts.map(([title]) => title).join(", ");
    const button = make("button", { type: "button", "aria-expanded": "false", "aria-controls": id }, "Show " + titles);
    const place = make("div", { id, hidden: true });
    button.addEventListener("click", () => {
      if (!place.firstChild) {
        for (const [title, lines] of evidence.parts) {
          place.append(make("h4", {}, title), make("pre", { tabIndex: 0 }, lines.join("\n")));
        }
      }
      place.hidden = !place.hidden;
      button.setAttribute("aria-expanded", String(!place.hidden));
      button.textContent = (place.hidden ? "Show " : "Hide ") + titles;
    });
    article.append(button, place);
  }
}

// All tests in one list: plugin, name, identity, letter of the status, duration.
function allTests() {
  const tests = [];
  for (const plugin of data.plugins) {
    const letters = Array.from(plugin.statuses);
    plugin.tests.forEach((name, at) => {
      const milliseconds = plugin.milliseconds[at] || 0;
      const search = (plugin.name + " " + name).toLowerCase();
      tests.push({ plugin: plugin.name, name, id: plugin.ids[at], letter: letters[at], milliseconds, search });
    });
  }
  return tests;
}

const ORDERS = {
  severity: (one, other) => SEVERITY.indexOf(one.letter) - SEVERITY.indexOf(other.letter),
  name: (one, other) => (one.name < other.name ? -1 : Number(one.name > other.name)),
  duration: (one, other) => other.milliseconds - one.milliseconds,
};

function addList() {
  const tests = allTests();
  const failures = new Map();
  for (const article of document.querySelectorAll("article[data-test]")) {
    failures.set(article.dataset.test, article.id);
  }
  let page = 0;
  const option = (value, text) => make("option", { value }, text);
  const text = make("input", { type: "search", autocomplete: "off", id: "filter" });
  const status = make("select", { id: "status" }, option("", "all"));
  for (const letter of SEVERITY) {
    if (tests.some((test) => test.letter === letter)) {
      status.append(option(letter, WORDS[letter]));
    }
  }
  const order = make("select", { id: "order" }, option("severity", "status"), option("name", "name"), option("duration", "duration"));
  const previous = make("button", { type: "button" }, "Previous page");
  const next = make("button", { type: "button" }, "Next page");
  const count = make("p", { role: "status" });
  const body = make("tbody", {});
  const head = (name) => make("th", { scope: "col" }, name);
  const header = make("tr", {}, head("Status"), head("Test"), head("Plugin"), head("Duration"));
  const table = make("table", { "aria-label": "Tests" }, make("thead", {}, header), body);

  function rowOf(test) {
    const target = failures.get(test.id);
    const link = make("a", { href: "#" + (target || "test-" + test.id) }, test.name);
    const row = make("tr", { id: "test-" + test.id }, make("td", {}, statusOf(test.letter)));
    row.append(make("td", {}, link), make("td", {}, test.plugin));
    row.append(make("td", { className: "number" }, durationOf(test.milliseconds)));
    return row;
  }

  function show() {
    const words = text.value.toLowerCase().split(/\s+/).filter(Boolean);
    const isShown = (test) =>
      (!status.value || test.letter === status.value) &&
      words.every((word) => test.search.includes(word) || test.id === word);
    const found = tests.filter(isShown);
    found.sort(ORDERS[order.value]);
    const pages = Math.max(1, Math.ceil(found.length / PAGE));
    page = Math.min(page, pages - 1);
    body.replaceChildren(...found.slice(page * PAGE, (page + 1) * PAGE).map(rowOf));
    count.textContent = found.length + " of " + tests.length + " tests, page " + (page + 1) + " of " + pages;
    previous.disabled = page === 0;
    next.disabled = page + 1 >= pages;
  }

  // A link to a test shows only this test.
  function follow() {
    const id = /^#test-([0-9a-f]{12})$/.exec(location.hash);
    if (id && !document.getElementById("test-" + id[1])) {
      text.value = id[1];
      status.value = "";
      page = 0;
      show();
      document.getElementById("tests").scrollIntoView();
    }
  }

  const change = () => {
    page = 0;
    show();
  };
  text.addEventListener("input", change);
  status.addEventListener("change", change);
  order.addEventListener("change", change);
  previous.addEventListener("click", () => {
    page -= 1;
    show();
  });
  next.addEventListener("click", () => {
    page += 1;
    show();
  });
  addEventListener("hashchange", follow);
  const controls = make("div", { className: "controls" });
  controls.append(make("label", {}, "Words of the name", text), make("label", {}, "Status", status));
  controls.append(make("label", {}, "Order", order), previous, next);
  const region = make("div", { className: "wide", tabIndex: 0, role: "region", "aria-label": "Tests" }, table);
  document.getElementById("list").replaceChildren(controls, count, region);
  show();
  follow();
}

addEvidence();
addList();
