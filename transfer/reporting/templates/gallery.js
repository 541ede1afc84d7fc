// The gallery: a score limit that moves, filters by class and by kind of error, and images that open large.
(() => {
  const gallery = document.getElementById("images"), viewer = document.getElementById("viewer");
  if (!viewer) return;
  const by = (id) => document.getElementById(id);
  const limit = by("limit"), onlyClass = by("only-class"), onlyKind = by("only-kind");
  const FEW = 3, MISSED = String(onlyKind.options.length - 2); // the last kind; before the first stands "all"
  const written = limit.value;

  const scores = (text) => text.split(",").map(Number);
  const isMissed = (object) => scores(object.dataset.f).some((score) => score < Number(limit.value));
  const wanted = (element) => {
    if (onlyClass.value !== "" && element.dataset.c !== onlyClass.value) return false;
    if (onlyKind.value === "") return true;
    if (element.dataset.f !== undefined) return onlyKind.value === MISSED && isMissed(element);
    return element.dataset.k === onlyKind.value;
  };

  // Draw what reaches the limit, or the best few, dimmed; what a filter leaves out fades. Is anything left?
  function draw(photo) {
    let left = false;
    const least = Number(limit.value);
    const detections = [...photo.querySelectorAll(".shapes > [data-s]")];
    const best = detections.map((one) => Number(one.dataset.s)).sort((a, b) => b - a);
    const bare = !(best[0] >= least);
    const from = bare ? best[Math.min(FEW, best.length) - 1] : least;
    for (const one of photo.querySelectorAll("[data-s]")) {
      const there = Number(one.dataset.s) >= from;
      one.classList.toggle("low", !there);
      one.classList.toggle("dim", bare);
      one.classList.toggle("off", !wanted(one));
      left ||= there && !bare && wanted(one);
    }
    for (const one of photo.querySelectorAll("[data-f]")) {
      one.classList.toggle("off", onlyKind.value === MISSED ? !wanted(one) : onlyClass.value !== "" && one.dataset.c !== onlyClass.value);
      left ||= wanted(one);
    }
    const none = photo.closest("figure")?.querySelector(".none");
    if (none) none.textContent = bare ? "nothing reaches the limit" : "";
    return left;
  }

  const cards = [...gallery.querySelectorAll(".image")];
  const filtered = () => onlyClass.value !== "" || onlyKind.value !== "";
  function update() {
    let count = 0;
    for (const card of cards) {
      const left = [...card.querySelectorAll(".photo")].map(draw).some(Boolean);
      card.hidden = filtered() && !left;
      count += !card.hidden;
    }
    for (const part of gallery.querySelectorAll(".kind")) part.hidden = !part.querySelector(".image:not([hidden])");
    viewer.querySelectorAll(".photo").forEach(draw);
    by("controls").querySelector("output").textContent = (Number(limit.value) / 100).toFixed(2);
    by("shown").textContent = filtered() ? `${count} of ${cards.length} pictures` : "";
    gallery.classList.toggle("moved", limit.value !== written); // F1 belongs to the limit of the report
    gallery.classList.toggle("filtered", filtered());
  }
  for (const control of [limit, onlyClass, onlyKind]) control.addEventListener("input", update);
  for (const box of gallery.querySelectorAll("[data-part]")) {
    box.addEventListener("change", () => gallery.classList.toggle(`no-${box.dataset.part}`, !box.checked));
  }
  for (const rest of gallery.querySelectorAll(".rest")) {
    rest.addEventListener("click", () => { rest.parentElement.classList.add("all"); rest.remove(); });
  }

  // One image, large.
  const stage = by("stage"), view = by("view"), left = by("left"), right = by("right"), cut = by("cut");
  let current = 0;
  const figure = (index) => cards[current].querySelectorAll("figure")[index].cloneNode(true);
  function show() {
    const card = cards[current], shown = cards.filter((one) => !one.hidden);
    by("viewer-title").textContent = `${card.querySelector(".open").textContent} · ${shown.indexOf(card) + 1} of ${shown.length}`;
    const all = view.value === "all";
    const indices = all ? [...card.querySelectorAll("figure").keys()] : [Number(left.value), Number(right.value)];
    stage.replaceChildren(...indices.map(figure));
    stage.className = view.value;
    const box = card.querySelector(".photo").viewBox.baseVal;
    stage.style.setProperty("--ratio", box.width / box.height);
    viewer.querySelectorAll(".side").forEach((side) => { side.hidden = all; });
    cut.hidden = view.value !== "slider";
    slide();
  }
  const slide = () => stage.style.setProperty("--cut", `${cut.value}%`);
  function step(by_) {
    const shown = cards.filter((one) => !one.hidden);
    const at = (shown.indexOf(cards[current]) + by_ + shown.length) % shown.length;
    current = cards.indexOf(shown[at]);
    show();
  }
  cards.forEach((card, index) => {
    const open = () => { current = index; show(); viewer.showModal(); };
    card.querySelector(".open").addEventListener("click", open);
    card.querySelector(".cells").addEventListener("click", open);
  });
  for (const choice of [view, left, right]) choice.addEventListener("input", show);
  cut.addEventListener("input", slide);
  by("previous").addEventListener("click", () => step(-1));
  by("next").addEventListener("click", () => step(1));
  by("close").addEventListener("click", () => viewer.close());
  viewer.addEventListener("click", (event) => { if (event.target === viewer) viewer.close(); });
  viewer.addEventListener("keydown", (event) => {
    if (["SELECT", "INPUT"].includes(event.target.tagName)) return; // they use the arrows themselves
    if (event.key === "ArrowLeft") step(-1);
    if (event.key === "ArrowRight") step(1);
  });
  viewer.addEventListener("close", () => cards[current].querySelector(".open").focus());
  const drag = (event) => {
    if (view.value !== "slider" || !(event.buttons & 1)) return;
    const box = stage.getBoundingClientRect();
    cut.value = (100 * (event.clientX - box.left)) / box.width;
    slide();
  };
  stage.addEventListener("pointerdown", drag);
  stage.addEventListener("pointermove", drag);
  update();
})();
