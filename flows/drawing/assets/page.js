"use strict";
// Draws each plot when it comes into view, and keeps all of them at the same span of time.
(() => {
  const specs = JSON.parse(document.getElementById("plots").textContent);
  const themes = JSON.parse(document.getElementById("themes").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const drawn = new Map(); // element -> Vega view
  let shown = null; // span of time in ms, null for the whole
  let whole = null;
  let spreading = false;

  const themed = (width) => {
    const theme = structuredClone(dark.matches ? themes.dark : themes.light);
    theme.legend.columns = Math.max(1, Math.floor((width - 60) / 170));
    return theme;
  };

  async function draw(element) {
    const spec = specs[element.dataset.plot];
    drawn.get(element)?.finalize();
    drawn.set(element, null);
    try {
      const result = await vegaEmbed(element, spec, {
        actions: false,
        renderer: "canvas",
        config: themed(element.clientWidth),
        tooltip: { theme: dark.matches ? "dark" : "light" },
      });
      drawn.set(element, result.view);
      element.dataset.state = "drawn";
      whole ??= domain(result.view);
      result.view.addSignalListener("zoom_time", (_, span) => spread(result.view, span));
      if (shown) move(result.view, shown);
    } catch (error) {
      element.dataset.state = "failed";
      element.classList.add("failed");
      element.textContent = `This plot could not be drawn: ${error.message}`;
      console.error(error);
    }
  }

  const domain = (view) => view.scale("x").domain().map(Number);
  const move = (view, span) => view.signal("zoom_time", span).runAsync();

  function spread(source, span) {
    if (spreading) return;
    spreading = true;
    shown = span ? span.map(Number) : null;
    const others = mqpipe.views().filter((view) => view !== source);
    Promise.all(others.map((view) => move(view, shown))).finally(() => { spreading = false; });
  }

  function show(span) {
    if (!whole) return;
    if (span) {
      const width = Math.min(span[1] - span[0], whole[1] - whole[0]);
      const start = Math.min(Math.max(span[0], whole[0]), whole[1] - width);
      span = width < whole[1] - whole[0] ? [start, start + width] : null;
    }
    shown = span;
    spreading = true;
    Promise.all(mqpipe.views().map((view) => move(view, shown))).finally(() => { spreading = false; });
  }

  document.querySelectorAll("nav button").forEach((button) => button.addEventListener("click", () => {
    const [from, to] = shown ?? whole ?? [0, 0];
    const middle = (from + to) / 2, half = (to - from) / 2;
    const { zoom, shift, reset } = button.dataset;
    if (reset !== undefined) show(null);
    else if (zoom) show([middle - half * zoom, middle + half * zoom]);
    else show([from + 2 * half * shift, to + 2 * half * shift]);
  }));

  const waiting = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      waiting.unobserve(target);
      draw(target);
    }
  }, { rootMargin: "400px" });
  const plots = document.querySelectorAll(".plot");
  plots.forEach((element) => waiting.observe(element));

  // For the console: the Vega views that are drawn.
  window.mqpipe = { views: () => [...drawn.values()].filter(Boolean) };

  dark.addEventListener("change", () => [...drawn.keys()].forEach(draw));
  addEventListener("beforeprint", () => plots.forEach((e) => drawn.has(e) || draw(e)));
})();
