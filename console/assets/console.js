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
    const now = (live || document.querySelector("[data-now]"))?.dataset.now;
    if (now) ahead = Number(now) - Date.now();
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
    const text = decoders.get(pane).decode(bytes.subarray(Math.max(0, skip)), { stream: true });
    // As the server does it: what would command a terminal is left out.
    pane.append(text.replace(/\x1b(\[[0-9;:?]*[ -\/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[@-Z\\^_])/g, ""));
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

  // Along the rows of tables: j and k from anywhere, arrows once a row has the focus, for they scroll elsewhere.
  const walkRows = (event) => {
    const step = { j: 1, ArrowDown: 1, k: -1, ArrowUp: -1 }[event.key];
    if (!step) return false;
    const rows = [...document.querySelectorAll("main table.list tbody tr")].map((row) => row.querySelector("a[href]"));
    const links = rows.filter((link) => link?.checkVisibility());
    const row = document.activeElement.closest("main table.list tbody tr");
    const at = links.findIndex((link) => row?.contains(link));
    if (!links.length || (at < 0 && event.key.startsWith("Arrow"))) return false;
    const next = at < 0 ? (step > 0 ? 0 : links.length - 1) : at + step;
    links[Math.min(Math.max(next, 0), links.length - 1)].focus();
    event.preventDefault();
    return true;
  };

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
    if (!prefix && walkRows(event)) return;
    const keys = prefix + event.key;
    prefix = event.key === "g" ? "g" : "";
    // Where `g` and a letter lead is written at the links themselves.
    const link = keys.length === 2 && document.querySelector(`.bar nav a[data-go="${CSS.escape(keys[1])}"]`);
    if (link) link.click();
    else if (keys === "c" && byId("help")) location.href = "/new";
    else if (keys === "/" && byId("q")) byId("q").focus();
    else if (keys === "/" && byId("help")) location.href = "/search";
    else if (keys === "?" && byId("help")) byId("help").open ? byId("help").close() : byId("help").showModal();
    else return;
    event.preventDefault();
  });

  // Form and JSON: an answer that comes late must not overwrite what is being typed meanwhile.
  let scrolled = 0;
  body.addEventListener("htmx:beforeSwap", (event) => {
    const { target } = event.detail;
    if (target.id !== "definition" && target.id !== "fields") return;
    if (target.contains(document.activeElement)) event.detail.shouldSwap = false;
    scrolled = byId("definition").scrollTop;
  });
  body.addEventListener("htmx:afterSwap", () => {
    if (byId("definition")) byId("definition").scrollTop = scrolled;
  });
  // Another empty row as soon as the last one is used.
  body.addEventListener("input", (event) => {
    const row = event.target.closest(".cells");
    if (!row || row.nextElementSibling) return;
    const next = row.cloneNode(true);
    for (const field of next.querySelectorAll("[name]")) {
      const renumber = (text) => text.replace(/([.-])(\d+)([.-])/, (_, a, n, b) => a + (Number(n) + 1) + b);
      field.name = renumber(field.name);
      if (field.id) field.id = renumber(field.id);
      if (field.tagName === "SELECT") field.selectedIndex = 0;
      else field.value = "";
    }
    row.after(next);
  });

  const offerCopies = () => {
    for (const button of document.querySelectorAll("[data-copy][hidden]")) button.hidden = !navigator.clipboard;
  };
  body.addEventListener("click", (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    const word = button.textContent;
    navigator.clipboard.writeText(button.dataset.copy).then(() => {
      button.textContent = body.dataset.copied;
      setTimeout(() => (button.textContent = word), 1500);
    });
  });
  offerCopies();

  // On a phone the bar is wider than the window: it begins where one is.
  const here = document.querySelector(".bar nav a[aria-current]");
  if (here) here.parentElement.scrollLeft = here.offsetLeft - here.parentElement.offsetLeft - 40;

  for (const pane of document.querySelectorAll(".log pre[data-tail]")) pane.scrollTop = pane.scrollHeight;
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
