/* What is wider than the page scrolls in its box: it fades at the edge behind which there is more (book.css), and a
   reader without a mouse can reach it. */
document.addEventListener("DOMContentLoaded", () => {
  "use strict";
  const boxes = document.querySelectorAll(
    "article .pst-scrollable-table-container, article .cell_output .output, article .math, article .highlight pre, article figure > a.image-reference");
  function look(box) {
    const hidden = box.scrollWidth - box.clientWidth;
    const wide = hidden > 2 && /auto|scroll/.test(getComputedStyle(box).overflowX);
    box.classList.toggle("more-right", wide && box.scrollLeft < hidden - 2);
    box.classList.toggle("more-left", wide && box.scrollLeft > 2);
    if (wide && box.tabIndex < 0) box.tabIndex = 0;
  }
  const all = () => boxes.forEach(look);
  const watch = new ResizeObserver(all); // also tells when a fold opens
  for (const box of boxes) {
    watch.observe(box);
    box.addEventListener("scroll", () => look(box), { passive: true });
  }
  window.MathJax?.startup?.promise?.then(all);
});
