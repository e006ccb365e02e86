"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const css = (name) => () => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const two = (number) => String(number).padStart(2, "0");
  const days = (time) => `${time.getFullYear()}-${two(time.getMonth() + 1)}-${two(time.getDate())}`;
  const moments = (chart, splits, index, space, step) => {  // as the tables write them; a day once
    const times = splits.map((split) => new Date(split * 1000));
    return times.map((time, place) => {
      const day = days(time), known = place > 0 && days(times[place - 1]) === day;
      if (step >= 86400) return day;
      const clock = `${two(time.getHours())}:${two(time.getMinutes())}${step < 60 ? `:${two(time.getSeconds())}` : ""}`;
      return known ? clock : `${clock}\n${day}`;
    });
  };
  const axis = { stroke: css("--ink"), grid: { stroke: css("--line") }, ticks: { stroke: css("--line") } };
  const charts = [];
  const draw = (home, title, points, unit, line, span) => {
    const spread = points[1].length > 1 && Math.max(...points[1].slice(-1000)) > 20 * Math.max(0.01, Math.min(...points[1].slice(-1000)));
    const chart = new uPlot({
      title, width: Math.min(home.clientWidth || 640, 480), height: 220, legend: { show: false },
      cursor: { drag: { x: true, y: false } },
      scales: { x: { range: span[0] < span[1] ? span : undefined }, y: spread && !line ? { distr: 3 } : { range: (u, low, high) => [0, high * 1.1 || 1] } },
      axes: [{ ...axis, values: moments, space: 80 }, { ...axis, label: unit, size: 64 }],
      series: [{}, {
        label: unit, stroke: css("--mark"), width: line ? 2 : 0, paths: line ? undefined : () => null,
        points: { show: true, size: points[0].length > 500 ? 3 : 6, stroke: css("--mark"), fill: css("--mark") },
      }],
    }, points, home);
    charts.push(chart);
  };
  const fill = (id, rows, unit, line) => {
    const home = document.getElementById(id);
    const several = rows.filter(([, points]) => points[0].length > 1);  // of one alone the table tells as much
    const times = several.flatMap(([, points]) => [points[0][0], points[0].at(-1)]);
    const span = times.reduce(([low, high], time) => [Math.min(low, time), Math.max(high, time)], [Infinity, -Infinity]);
    for (const [name, points] of several) draw(home, name, points, unit, line, span);
  };
  fill("build-charts", Object.entries(data.builds), "seconds", false);
  fill("size-charts", data.sizes.slice(0, 8).map((one) => [one.name, one.points]), "MB", true);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => charts.forEach((chart) => chart.redraw()));
  document.documentElement.dataset.drawn = String(charts.length);
})();
