"use strict";
{
  const SILENCE_MS = 120; // after typing, before a search
  const byId = (id) => document.getElementById(id);
  const events = [...document.querySelectorAll("article")];
  const marks = new Map([...document.querySelectorAll(".mark")].map((mark) => [mark.hash.slice(1), mark]));
  const search = byId("search");
  let texts = null; // read when they are first searched
  let current = -1;
  let waiting;

  for (const one of document.querySelectorAll(".scripted")) one.hidden = false;

  const find = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    texts ??= events.map((event) => event.textContent.toLowerCase());
    let found = 0;
    events.forEach((event, at) => {
      const misses = !words.every((word) => texts[at].includes(word));
      found += !misses;
      event.classList.toggle("miss", misses);
      marks.get(event.id)?.classList.toggle("miss", misses);
    });
    byId("found").value = words.length ? `${found.toLocaleString("en")} of ${events.length.toLocaleString("en")}` : "";
  };

  const isShown = (event) => getComputedStyle(event).display !== "none";

  const go = (step, wanted = () => true) => {
    const at = events.indexOf(document.activeElement?.closest?.("article"));
    let to = (at < 0 ? current : at) + step;
    while (to >= 0 && to < events.length && !(wanted(events[to]) && isShown(events[to]))) to += step;
    if (to < 0 || to >= events.length) return;
    current = to;
    events[to].querySelector("summary").focus({ preventScroll: true });
    events[to].scrollIntoView({ block: "start" });
  };

  const openAll = (open) => {
    for (const event of events) if (!open || isShown(event)) event.querySelector("details").open = open;
  };

  const reveal = () => {
    const event = byId(location.hash.slice(1))?.closest("article");
    if (!event) return;
    event.querySelector("details").open = true;
    current = events.indexOf(event);
    for (const name of event.classList) {
      const box = byId(`show-${name}`);
      if (box) box.checked = true;
    }
    if (event.classList.contains("miss")) {
      search.value = "";
      find();
    }
    event.scrollIntoView({ block: "start" });
  };

  search.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(find, SILENCE_MS);
  });
  byId("open-all").addEventListener("click", () => openAll(true));
  byId("close-all").addEventListener("click", () => openAll(false));
  addEventListener("hashchange", reveal);
  reveal();

  addEventListener("keydown", (press) => {
    if (press.ctrlKey || press.metaKey || press.altKey) return;
    const typing = press.target === search;
    if (press.key === "Escape" && typing) {
      search.value = "";
      find();
      search.blur();
    } else if (typing) {
      if (press.key !== "Enter") return;
      go(1);
    } else if (press.key === "/") search.focus();
    else if (press.key === "j") go(1);
    else if (press.key === "k") go(-1);
    else if (press.key === "f") go(1, (event) => !event.matches(".completed:not(.differing), .other"));
    else return;
    press.preventDefault();
  });
}
