// Tables that commands print keep their columns: lines of them do not break, and can be scrolled.
const ROW = /\S {2,}\S.* {2,}\S/;
for (const each of document.querySelectorAll(".highlight-text pre, .highlight-console pre")) {
  if (each.textContent.split("\n").filter((line) => ROW.test(line)).length > 1) each.classList.add("columns");
}
// Code and tables that are wider than the window can be scrolled with the keyboard.
const watch = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    if (target.scrollWidth > target.clientWidth) target.tabIndex = 0;
    else target.removeAttribute("tabindex");
  }
});
for (const each of document.querySelectorAll("pre, .table-wrapper")) watch.observe(each);
