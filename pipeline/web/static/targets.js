// The targets of each job, fetched when the job is open and in view, some at a time. The server searches and filters.
"use strict";
(() => {
  const ROWS = 50, REFRESH_MS = 5000, REFRESH_ROWS = 200;
  const HEAD = "<thead><tr><th>Endpoint</th><th>State</th><th>Labels</th><th class=number>Last scrape</th>" +
    "<th class=number>Duration</th><th class=number>Samples</th><th class=number>Interval / timeout</th></tr></thead>";
  const tools = document.getElementById("tools");
  const jobs = [...document.querySelectorAll(".job")];
  const boxes = [...tools.querySelectorAll("[name=state]")];
  const unhealthy = document.getElementById("unhealthy"), fold = document.getElementById("fold");
  const defaults = boxes.filter(box => box.checked).map(box => box.value).join();
  let asked = 0; // counts changes of the question, so that late answers to an old one are dropped

  const number = value => value.toLocaleString("en").replaceAll(",", "\u2009");

  function question() {
    const query = new URLSearchParams();
    const search = tools.search.value.trim(), states = boxes.filter(box => box.checked).map(box => box.value).join();
    if (search) query.set("search", search);
    if (states !== defaults) query.set("state", states || "none");
    return query;
  }

  function fromAddress() {
    const query = new URLSearchParams(location.search);
    tools.search.value = query.get("search") || "";
    if (query.has("state")) {
      const states = query.get("state").split(",");
      boxes.forEach(box => { box.checked = states.includes(box.value); });
    }
    showPressed();
  }

  function showPressed() {
    const states = boxes.filter(box => box.checked).map(box => box.value).join();
    unhealthy.setAttribute("aria-pressed", String(states === "down,unknown"));
  }

  async function rows(job, offset, limit) {
    const query = question();
    query.set("job", job.dataset.job);
    query.set("offset", offset);
    query.set("limit", limit);
    const answer = await fetch("targets/rows?" + query);
    if (!answer.ok) throw new Error(answer.status);
    return answer.json();
  }

  // Fetch rows from `offset` on; 0 replaces what is shown.
  async function fill(job, offset, limit = ROWS) {
    const mine = asked;
    const box = job.querySelector("[data-rows]");
    if (job.busy === mine && offset) return;
    job.busy = mine;
    try {
      const found = await rows(job, offset, limit);
      if (mine !== asked) return;
      if (!offset) show(job, box, found);
      else box.querySelector("tbody").insertAdjacentHTML("beforeend", found.html);
      job.shown = Math.min(offset + limit, found.matched);
      more(job, box, found.matched);
    } finally {
      if (job.busy === mine) job.busy = -1;
    }
  }

  function show(job, box, found) {
    const open = new Set([...box.querySelectorAll("details[open]")].map(one => one.dataset.key));
    if (!found.matched) {
      box.innerHTML = "<p class=soft>no targets</p>";
      return;
    }
    box.innerHTML = `<div class=scroll><table>${HEAD}<tbody>${found.html}</tbody></table></div><p class=more></p>`;
    box.querySelectorAll("details").forEach(one => { one.open = open.has(one.dataset.key); });
  }

  function more(job, box, matched) {
    const line = box.querySelector(".more");
    if (!line) return;
    line.textContent = job.shown < matched ? `${number(job.shown)} of ${number(matched)} shown; scroll for more` : "";
    watcher.unobserve(line);
    if (job.shown < matched) watcher.observe(line);
  }

  // A job whose rows come into view, or the end of the rows that are there.
  const watcher = new IntersectionObserver(entries => entries.filter(entry => entry.isIntersecting).forEach(entry => {
    const job = entry.target.closest(".job");
    if (!job.open) return;
    if (job.shown === undefined) fill(job, 0).catch(fade);
    else if (entry.target.matches(".more")) fill(job, job.shown).catch(fade);
  }), { rootMargin: "300px" });

  function counts(job, found) {
    const here = found.up + found.down + found.unknown;
    const parts = [`${number(found.up)} of ${number(here)} up`];
    if (found.down) parts.push(`${number(found.down)} down`);
    if (found.elsewhere) parts.push(`${number(found.elsewhere)} elsewhere`);
    if (found.unusable) parts.push(`${number(found.unusable)} unusable`);
    if (found.dropped) parts.push(`${number(found.dropped)} dropped by relabelling`);
    if (found.error) parts.push(found.error);
    if (question().size) parts.push(`${number(found.matched)} found`);
    job.querySelector("[data-counts]").textContent = parts.join(", ");
  }

  async function summary() {
    const mine = asked;
    const answer = await fetch("targets/summary?" + question());
    if (!answer.ok) throw new Error(answer.status);
    const found = await answer.json();
    if (mine !== asked) return;
    const ready = document.getElementById("ready");
    ready.querySelector(".badge").className = "badge " + (found.ready ? "good" : "wait");
    ready.querySelector(".badge").textContent = found.ready ? "ready" : "not ready";
    ready.querySelector("[data-reason]").textContent = found.reason;
    if (found.jobs.map(job => job.name).join("\n") !== jobs.map(job => job.dataset.job).join("\n")) location.reload();
    found.jobs.forEach((one, index) => counts(jobs[index], one));
    document.body.style.opacity = 1;
  }

  function fade() { document.body.style.opacity = .5; }

  function inView(job) {
    const place = job.getBoundingClientRect();
    return job.open && place.bottom > 0 && place.top < innerHeight;
  }

  // Ask anew: what was shown answers another question.
  function ask() {
    asked += 1;
    showPressed();
    const query = question();
    history.replaceState(null, "", query.size ? "?" + query : location.pathname);
    jobs.forEach(job => {
      job.shown = undefined;
      if (inView(job)) fill(job, 0).catch(fade);
      else job.querySelector("[data-rows]").textContent = "";
    });
    summary().catch(fade);
  }

  async function refresh() {
    if (document.hidden || String(getSelection())) return;
    try {
      await summary();
      for (const job of jobs) {
        if (inView(job) && job.shown !== undefined && job.shown <= REFRESH_ROWS) await fill(job, 0, Math.max(job.shown, ROWS));
      }
    } catch (error) {
      fade();
    }
  }

  let typing;
  tools.addEventListener("submit", event => event.preventDefault());
  tools.search.addEventListener("input", () => { clearTimeout(typing); typing = setTimeout(ask, 200); });
  boxes.forEach(box => box.addEventListener("change", ask));
  unhealthy.addEventListener("click", () => {
    const pressed = unhealthy.getAttribute("aria-pressed") === "true";
    boxes.forEach(box => { box.checked = pressed ? box.value !== "elsewhere" : ["down", "unknown"].includes(box.value); });
    ask();
  });
  fold.addEventListener("click", () => {
    const fresh = !jobs.some(job => job.open);
    jobs.forEach(job => { job.open = fresh; });
  });
  jobs.forEach(job => {
    watcher.observe(job.querySelector("[data-rows]"));
    job.addEventListener("toggle", event => {
      if (event.target !== job) return;
      fold.textContent = jobs.some(one => one.open) ? "collapse all" : "expand all";
      if (job.open && job.shown === undefined) fill(job, 0).catch(fade);
    });
  });
  fromAddress();
  ask();
  setInterval(refresh, REFRESH_MS);
})();
