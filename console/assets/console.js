// What the console adds to plain pages: they follow changes, times count, a few keys. Everything works without it.
"use strict";
(() => {
  const body = document.body;
  const byId = (id) => document.getElementById(id);

  // Durations as the server writes them.
  const two = (large, largeUnit, small, smallUnit) => `${large} ${largeUnit}${small ? ` ${small} ${smallUnit}` : ""}`;
  const duration = (ms) => {
    const s = Math.floor(ms / 1000);
    if (s < 60) return `${s} s`;
    if (s < 3600) return two(Math.floor(s / 60), "min", s % 60, "s");
    if (s < 86400) return two(Math.floor(s / 3600), "h", Math.floor(s / 60) % 60, "min");
    return two(Math.floor(s / 86400), "d", Math.floor(s / 3600) % 24, "h");
  };
  // How far the node's clock is ahead of ours.
  let ahead = 0;
  const synchronise = () => {
    const live = byId("live");
    if (live) ahead = Number(live.dataset.now) - Date.now();
  };
  const count = () => {
    const now = Date.now() + ahead;
    for (const time of document.querySelectorAll("time[data-ago]"))
      time.textContent = body.dataset.ago.replace("{}", duration(Math.max(0, now - time.dataset.ago)));
    for (const time of document.querySelectorAll("time[data-until]")) {
      const left = time.dataset.until - now;
      time.textContent = left > 0 ? body.dataset.in.replace("{}", duration(left + 999)) : body.dataset.due;
    }
  };

  // One event stream a tab; none while the tab is hidden, for browsers open few connections to one server.
  // `lastSign`: when the server was heard last; `quietSince`: the same, or when listening began anew.
  let source = null, retry = 0, retryMs = 250, lastSign = Date.now(), quietSince = lastSign;
  const panes = ["stdout", "stderr"].map(byId).filter((pane) => pane && pane.dataset.end);
  const decoders = new Map(panes.map((pane) => [pane, new TextDecoder()]));

  const stale = (is) => {
    const banner = byId("stale");
    banner.hidden = !is;
    if (is) banner.querySelector("time").textContent = new Date(lastSign).toLocaleTimeString();
    body.classList.toggle("is-stale", is);
  };
  const sign = () => {
    lastSign = quietSince = Date.now();
    retryMs = 250;
    stale(false);
  };
  const following = (pane, is) => {
    const word = pane?.parentElement.querySelector(".following");
    if (word) word.hidden = !is;
  };
  const connect = () => {
    clearTimeout(retry);
    if (source) source.close();
    const offsets = panes.map((pane) => `&${pane.id}=${pane.dataset.end}`).join("");
    source = new EventSource(`/live?${body.dataset.live}${offsets}`);
    let waits = false;
    source.addEventListener("change", () => {
      sign();
      htmx.trigger(body, "live");
      if (waits) retry = setTimeout(connect, 100);
    });
    source.addEventListener("absent", () => (waits = true));
    source.addEventListener("end", (event) => following(byId(event.data), false));
    source.addEventListener("beat", () => {
      sign();
      // What is measured rather than decided changes without an event.
      if (byId("live").dataset.beats !== undefined) htmx.trigger(body, "live");
    });
    for (const pane of panes) {
      source.addEventListener(pane.id, (event) => {
        sign();
        append(pane, event.data);
      });
      following(pane, true);
    }
    source.onerror = () => {
      source.close();
      retryMs = Math.min(retryMs * 2, 8000);
      retry = setTimeout(connect, retryMs);
    };
  };
  const disconnect = () => {
    clearTimeout(retry);
    if (source) source.close();
    source = null;
  };
  const watch = () => {
    // A short gap is not worth a word; a line without beats is dead even if nobody said so.
    const silent = Date.now() - quietSince;
    if (!document.hidden && (silent > 25000 || (silent > 2500 && source?.readyState === EventSource.CLOSED)))
      stale(true);
    if (silent > 25000 && source?.readyState === EventSource.OPEN) connect();
  };

  // Output arrives as "offset base64". What was shown already is skipped; text only, never markup.
  const SHOWN_MAX = 1 << 20;
  const append = (pane, data) => {
    const [offset, encoded] = data.split(" ");
    const bytes = Uint8Array.from(atob(encoded), (c) => c.charCodeAt(0));
    const end = Number(pane.dataset.end);
    const skip = end - Number(offset);
    if (skip >= bytes.length) return;
    const atBottom = pane.scrollHeight - pane.scrollTop - pane.clientHeight < 24;
    pane.append(decoders.get(pane).decode(bytes.subarray(Math.max(0, skip)), { stream: true }));
    pane.dataset.end = Number(offset) + bytes.length;
    if (pane.textContent.length > SHOWN_MAX) pane.textContent = pane.textContent.slice(-SHOWN_MAX / 2);
    if (atBottom) pane.scrollTop = pane.scrollHeight;
  };

  // A refresh that would tear a selection apart waits until it is gone.
  let held = false;
  body.addEventListener("htmx:beforeSwap", (event) => {
    const { target, xhr } = event.detail;
    if (target.id !== "live" || xhr.status !== 200) return;
    const selection = getSelection();
    held = !selection.isCollapsed && target.contains(selection.anchorNode);
    if (held) event.detail.shouldSwap = false;
  });
  document.addEventListener("selectionchange", () => {
    if (!held || !getSelection().isCollapsed) return;
    held = false;
    htmx.trigger(body, "live");
  });
  body.addEventListener("htmx:afterSettle", () => {
    synchronise();
    count();
    // An instance that has ended cannot be killed any more.
    if (byId("live")?.dataset.over !== undefined) document.querySelector(".head .actions")?.remove();
  });

  // Keys. Typing in a field is typing.
  let prefix = "";
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) {
      if (event.key === "Enter" && event.target.form) event.target.form.requestSubmit();
      return;
    }
    if (event.target.closest("input, textarea, select")) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    const keys = prefix + event.key;
    prefix = event.key === "g" ? "g" : "";
    const go = { c: "/new", ga: "/apps", gn: "/node", gb: "/balancer" }[keys];
    if (go && byId("help")) location.href = go;
    else if (keys === "/" && byId("q")) byId("q").focus();
    else if (keys === "/" && byId("help")) location.href = "/apps#q";
    else if (keys === "?" && byId("help")) byId("help").open ? byId("help").close() : byId("help").showModal();
    else return;
    event.preventDefault();
  });
  if (location.hash === "#q" && byId("q")) byId("q").focus();

  for (const pane of document.querySelectorAll(".log pre")) pane.scrollTop = pane.scrollHeight;
  synchronise();
  count();
  setInterval(count, 1000);
  if (body.dataset.live !== undefined) {
    connect();
    setInterval(watch, 1000);
    document.addEventListener("visibilitychange", () => {
      quietSince = Date.now();
      document.hidden ? disconnect() : connect();
    });
  }
})();
