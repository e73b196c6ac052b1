(() => {
  "use strict";
  const sheet = document.getElementById("sheet");
  const cases = [...sheet.children];
  const rater = document.getElementById("rater");
  const place = "xmed-ratings-" + sheet.dataset.report;
  const kept = (() => { try { return JSON.parse(localStorage.getItem(place)) || {}; } catch { return {}; } })();
  const said = kept.said || {}; // case -> {rating, comment}
  rater.value = kept.rater || "";

  const keep = () => {
    const count = cases.filter((one) => said[one.dataset.case]?.rating).length;
    document.getElementById("done").textContent = count + " of " + cases.length + " rated";
    try { localStorage.setItem(place, JSON.stringify({ rater: rater.value, said })); } catch { /* a browser may forbid it */ }
  };
  const show = (one) => {
    const { rating, comment } = said[one.dataset.case] || {};
    if (rating) one.dataset.rating = rating; else delete one.dataset.rating;
    for (const box of one.querySelectorAll("[type=radio]")) box.checked = Number(box.value) === rating;
    one.querySelector(".comment").value = comment || "";
  };
  const rate = (one, rating) => {
    const mine = (said[one.dataset.case] ??= {});
    if (rating) mine.rating = rating; else delete mine.rating;
    show(one); keep();
  };
  const go = (one, by) => {
    const next = cases[cases.indexOf(one) + by];
    if (next) { next.focus(); next.scrollIntoView({ block: "nearest" }); }
  };

  sheet.addEventListener("keydown", (event) => {
    const one = event.target.closest(".case");
    if (event.target.classList.contains("comment")) {
      if (event.key === "Escape" || event.key === "Enter") { one.focus(); event.preventDefault(); }
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if ("123".includes(event.key)) { rate(one, Number(event.key)); go(one, 1); }
    else if (event.key === "0") rate(one, null);
    else if (event.key === "ArrowDown" || event.key === "j") go(one, 1);
    else if (event.key === "ArrowUp" || event.key === "k") go(one, -1);
    else if (event.key === "c") one.querySelector(".comment").focus();
    else return;
    event.preventDefault();
  });
  sheet.addEventListener("change", (event) => {
    if (event.target.type === "radio") rate(event.target.closest(".case"), Number(event.target.value));
  });
  sheet.addEventListener("input", (event) => {
    if (!event.target.classList.contains("comment")) return;
    (said[event.target.closest(".case").dataset.case] ??= {}).comment = event.target.value;
    keep();
  });
  rater.addEventListener("input", keep);

  const rated = () => cases.map((one) => ({ case: one.dataset.case, comment: "", ...said[one.dataset.case] })).filter((one) => one.rating);
  const save = (name, kind, text) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: kind }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  };
  document.getElementById("json").addEventListener("click", () => {
    const items = rated().map(({ case: name, rating, comment }) => ({ case: name, rating, comment }));
    const document_ = { report_id: sheet.dataset.report, rater: rater.value || null, items };
    save("ratings.json", "application/json", JSON.stringify(document_, null, 1) + "\n");
  });
  document.getElementById("tsv").addEventListener("click", () => {
    const plain = (text) => String(text).replace(/[\t\r\n]+/g, " ");
    const lines = rated().map((one) => [one.case, one.rating, one.comment].map(plain).join("\t"));
    save("ratings.tsv", "text/tab-separated-values", ["case\trating\tcomment", ...lines].join("\n") + "\n");
  });
  cases.forEach(show);
  keep();
  cases[0]?.focus({ preventScroll: true });
})();
