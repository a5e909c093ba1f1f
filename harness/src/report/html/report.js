(() => {
  const svg = document.getElementById("timeline"), values = document.getElementById("values");
  if (!svg || !values) return;
  const cursor = document.getElementById("cursor"), data = svg.dataset, number = (name) => Number(data[name]);
  const table = document.querySelector(".seconds table");
  const heads = [...table.tHead.rows[0].cells].map((cell) => cell.textContent);
  const rows = [...table.tBodies[0].rows].map((row) => [parseFloat(row.cells[0].textContent), row]);
  const show = (event) => {
    const box = svg.getBoundingClientRect(), left = number("left"), right = number("right");
    const x = (event.clientX - box.left) / box.width * number("width");
    if (x < left || x > right) return hide();
    const at = number("from") + (x - left) / (right - left) * (number("until") - number("from"));
    const row = rows.filter(([from]) => from <= at).pop();
    const stale = !row || at - row[0] > Math.max(1, 1.5 * (rows.length > 1 ? rows[1][0] - rows[0][0] : 1));
    cursor.setAttribute("transform", `translate(${x} 0)`);
    cursor.setAttribute("visibility", "visible");
    values.hidden = false;
    values.textContent = stale ? `${at.toFixed(1)} s: no data`
      : [...row[1].cells].map((cell, index) => `${heads[index]} ${cell.textContent.trim() || "–"}`).join("  ·  ");
  };
  const hide = () => { cursor.setAttribute("visibility", "hidden"); };
  svg.addEventListener("pointermove", show);
  svg.addEventListener("pointerleave", hide);
  addEventListener("beforeprint", () => document.querySelectorAll("details:not(.seconds)").forEach((fold) => { fold.open = true; }));
})();
