// Adds the values of the second under the pointer, or under the arrow keys; without it the table below has them all.
(() => {
  const svg = document.getElementById("chart"), box = document.getElementById("values");
  if (!svg || !box) return;
  const region = document.getElementById("charts"), cursor = document.getElementById("cursor");
  const [from, until, left, right, width] = ["from", "until", "left", "right", "width"].map((name) => Number(svg.dataset[name]));
  const table = document.querySelector(".seconds table");
  const heads = [...table.tHead.rows[0].cells].map((cell) => cell.textContent);
  const rows = [...table.tBodies[0].rows].map((row) => {
    const cells = [...row.cells].map((cell) => cell.textContent.trim());
    return { at: parseFloat(cells[0]), cells };
  });
  const apart = rows.length > 1 ? Math.max(1, 1.5 * (rows[1].at - rows[0].at)) : 1;
  const line = (parent, tag, text) => { parent.appendChild(document.createElement(tag)).textContent = text; };
  let chosen = -1;

  const show = (at) => {
    chosen = rows.findLastIndex((row) => row.at <= at);
    const row = rows[chosen], known = row && at - row.at <= apart;
    const x = left + (Math.min(Math.max(at, from), until) - from) / (until - from) * (right - left);
    cursor.setAttribute("transform", `translate(${x} 0)`);
    cursor.setAttribute("visibility", "visible");
    box.replaceChildren();
    line(box, "strong", known ? `from ${row.cells[0]}` : `${at.toFixed(1)} s: no data`);
    const list = box.appendChild(document.createElement("dl"));
    if (known) row.cells.forEach((cell, index) => {
      if (index === 0 || !cell) return;
      line(list, "dt", heads[index]);
      line(list, "dd", cell);
    });
    box.hidden = false;
    // Beside the cursor, on the side where there is room.
    const share = x / width * 100;
    box.style.left = share < 60 ? `${share + 1}%` : "";
    box.style.right = share < 60 ? "" : `${101 - share}%`;
  };
  const hide = () => { cursor.setAttribute("visibility", "hidden"); box.hidden = true; chosen = -1; };
  const point = (event) => {
    const shape = svg.getBoundingClientRect(), x = (event.clientX - shape.left) / shape.width * width;
    if (x < left || x > right) return hide();
    show(from + (x - left) / (right - left) * (until - from));
  };

  svg.addEventListener("pointermove", point);
  svg.addEventListener("pointerdown", point);
  svg.addEventListener("pointerleave", hide);
  region.addEventListener("blur", hide);
  region.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (event.key === "Escape") return hide();
    if (!by || !rows.length) return;
    event.preventDefault();
    show(rows[Math.min(Math.max(chosen + by, 0), rows.length - 1)].at);
  });
  // On paper nothing can be unfolded; what is long stays in the file.
  addEventListener("beforeprint", () => {
    hide();
    document.querySelectorAll("details:not(.seconds, .long)").forEach((fold) => { fold.open = true; });
  });
})();
