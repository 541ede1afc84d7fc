"use strict";
// Sort a table by the column whose heading is pressed; what was not measured stays at the end.
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[table.tHead.rows.length - 1].cells];
  heads.forEach((head, column) => {
    const button = head.querySelector("button");
    if (!button) return;
    button.addEventListener("click", () => {
      const falling = head.getAttribute("aria-sort") === "descending";
      const order = head.hasAttribute("aria-sort") ? (falling ? 1 : -1) : (head.classList.contains("first") ? 1 : -1);
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", order === 1 ? "ascending" : "descending");
      const key = (row) => {
        const cell = row.cells[column];
        const text = cell.dataset.sort ?? cell.textContent.trim();
        if (text === "" || text === "–") return null;
        const numbers = ["num", "delta"].some((kind) => head.classList.contains(kind));
        const value = numbers ? Number.parseFloat(text.replace("−", "-")) : NaN;  // of a mean ± deviation the mean
        return Number.isNaN(value) ? text : value;
      };
      const body = table.tBodies[0];
      const rows = [...body.rows].map((row) => [key(row), row]);
      rows.sort(([a], [b]) => {
        if (a === null || b === null) return (a === null) - (b === null);
        if (typeof a === "number" && typeof b === "number") return order * (a - b);
        return order * String(a).localeCompare(String(b));
      });
      body.append(...rows.map(([, row]) => row));
    });
  });
}
// Light, dark, or as the system has it.
const theme = document.getElementById("theme");
const modes = ["auto", "light", "dark"];
theme.addEventListener("click", () => {
  const next = modes[(modes.indexOf(document.documentElement.dataset.theme ?? "auto") + 1) % 3];
  document.documentElement.dataset.theme = next;
  theme.querySelector("span").textContent = next;
});
// On a phone sections are closed at first; a link into one opens it, and so does printing.
const folds = [...document.querySelectorAll("details.fold")];
if (matchMedia("(max-width: 600px)").matches) {
  for (const fold of folds) fold.open = "small" in fold.dataset;
}
const unfold = (element) => {
  for (let fold = element; fold; fold = fold.parentElement?.closest("details.fold")) fold.open = true;
};
const follow = () => {
  const target = location.hash && document.getElementById(location.hash.slice(1));
  if (!target) return;
  unfold(target.querySelector("details.fold"));
  target.scrollIntoView();
};
for (const link of document.querySelectorAll('a[href^="#"]')) link.addEventListener("click", () => setTimeout(follow));
follow();
addEventListener("beforeprint", () => folds.forEach((fold) => { fold.open = true; }));
// A command goes to the clipboard whole; where a browser forbids that, it is selected instead.
for (const button of document.querySelectorAll(".copy")) {
  button.addEventListener("click", async () => {
    const code = button.parentElement.querySelector("code");
    try {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = "copied";
    } catch {
      getSelection().selectAllChildren(code);
      button.textContent = "selected";
    }
  });
}
