// Keys for moving about a page. Pages work without them.

const dialog = document.querySelector("dialog.shortcuts");
const hint = document.querySelector("footer.shortcuts");

const ACTIONS = {
  ArrowLeft: () => step("prev"),
  ArrowRight: () => step("next"),
  "/": () => firstField(),
  "?": () => dialog,
};

function step(rel) {
  return document.querySelector(`main .steps a[rel="${rel}"]`);
}

function firstField() {
  return document.querySelector("main form.params :is(input:not([type=hidden]), select)");
}

// Tells whether the arrows scroll something here: the table with the focus, or a page wider than the window.
function scrollsSideways(element) {
  return [element.closest(".scroll"), document.documentElement].some(
    (each) => each && each.scrollWidth > each.clientWidth,
  );
}

function isTyping(element) {
  return element.closest("input, select, textarea, [contenteditable], dialog");
}

document.addEventListener("keydown", (event) => {
  const { key, target } = event;
  if (event.ctrlKey || event.altKey || event.metaKey || event.repeat || isTyping(target)) return;
  if (key.startsWith("Arrow") && (event.shiftKey || scrollsSideways(target))) return;
  const found = Object.hasOwn(ACTIONS, key) && ACTIONS[key]();
  if (!found) return;
  event.preventDefault();
  if (found === dialog) found.showModal();
  else if (key === "/") found.focus();
  else found.click();
});

hint.querySelector("button").addEventListener("click", () => dialog.showModal());
hint.hidden = false;
