"use strict";
// What a pointer shows: tips of parts, one workload everywhere, and the values of a moment. Texts are set as text, never as HTML.
(() => {
  const tip = document.getElementById("tip");
  const show = (text, event) => {
    tip.textContent = text;
    tip.hidden = false;
    const { width, height } = tip.getBoundingClientRect();
    tip.style.left = Math.max(4, Math.min(event.clientX + 14, innerWidth - width - 8)) + "px";
    tip.style.top = (event.clientY + height + 24 > innerHeight ? event.clientY - height - 12 : event.clientY + 16) + "px";
  };
  document.addEventListener("pointermove", (event) => {
    const of = event.target.closest ? event.target.closest("[data-tip]") : null;
    if (of) show(of.dataset.tip, event);
    else if (!event.target.closest || !event.target.closest("[data-chart]")) tip.hidden = true;
  });

  const buttons = [...document.querySelectorAll(".legend button")];
  const parts = [...document.querySelectorAll(".part")];
  const focus = (name) => {
    document.body.classList.toggle("focus", name !== null);
    for (const part of parts) part.classList.toggle("on", name !== null && part.dataset.tip.startsWith(name + ":"));
  };
  let pressed = null;
  for (const button of buttons) {
    const name = button.dataset.name;
    button.addEventListener("pointerenter", () => focus(name));
    button.addEventListener("pointerleave", () => focus(pressed));
    button.addEventListener("click", () => {
      pressed = pressed === name ? null : name;
      for (const other of buttons) other.setAttribute("aria-pressed", String(other.dataset.name === pressed));
      focus(pressed);
    });
  }

  for (const svg of document.querySelectorAll("[data-chart]")) {
    const { hours, unit, lines } = JSON.parse(svg.dataset.chart);
    const [left, right] = [Number(svg.dataset.left), Number(svg.dataset.right)];
    const cross = svg.querySelector(".cross");
    svg.addEventListener("pointerleave", () => { tip.hidden = true; cross.setAttribute("x1", -9); cross.setAttribute("x2", -9); });
    svg.addEventListener("pointermove", (event) => {
      const box = svg.getBoundingClientRect();
      const x = Math.min(right, Math.max(left, (event.clientX - box.left) * svg.viewBox.baseVal.width / box.width));
      const hour = hours * (x - left) / (right - left);
      cross.setAttribute("x1", x);
      cross.setAttribute("x2", x);
      const said = lines.map(([name, dotted, points]) => {
        const before = points.filter(([at]) => at <= hour);
        const [, value] = dotted && before.length < points.length && before.length > 0
          ? [0, nearest(points, hour)] : before[before.length - 1] || points[0] || [0, 0];
        return name + ": " + unit + value.toLocaleString("en", { maximumFractionDigits: 2 });
      });
      const whole = Math.floor(hour);
      show([whole + " h " + String(Math.floor((hour - whole) * 60)).padStart(2, "0") + " min", ...said].join("\n"), event);
    });
  }
  function nearest(points, hour) {
    return points.reduce((best, of) => (Math.abs(of[0] - hour) < Math.abs(best[0] - hour) ? of : best))[1];
  }
  document.documentElement.dataset.ready = "yes";
})();
