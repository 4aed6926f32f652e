// Around the page's scripts: waits until Gradio has drawn the place for the page, then starts there.
// It comes as a file of its own because the pages allow neither inline scripts nor eval.
((html, start) => {
  const fill = () => {
    const place = document.getElementById("pl-place");
    if (!place) return false;
    place.innerHTML = html;
    start(place);
    return true;
  };
  if (fill()) return;
  const watch = new MutationObserver(() => fill() && watch.disconnect());
  watch.observe(document.documentElement, { childList: true, subtree: true });
})("PAGE_HTML", (element) => {
  "PAGE_SCRIPTS";
});
