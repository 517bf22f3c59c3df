"use strict";
/** What one names prototypes or found groups with: a field and two switches on each card, and the bar at the bottom of the page. */
const nameCards = (naming, cards, { colour, percent }) => {
  const $ = (id) => document.getElementById(id);
  const { word } = naming;
  const picked = new Set();

  const rows = cards.map(({ number, card }) => {
    const row = document.createElement("div");
    row.className = "naming";
    row.innerHTML =
      `<label class="pick"><input type="checkbox"></label><input class="name" type="text" list="known" maxlength="80" ` +
      `placeholder="no name" autocomplete="off" spellcheck="false" enterkeyhint="next"><button type="button" ` +
      `class="ground">Background</button>`;
    const [pick, field, ground] = ["input", ".name", ".ground"].map((selector) => row.querySelector(selector));
    pick.setAttribute("aria-label", `Select ${word} ${number}`);
    field.setAttribute("aria-label", `Name of ${word} ${number}`);
    ground.setAttribute("aria-label", `${word} ${number} is background`);
    pick.addEventListener("change", () => {
      picked[pick.checked ? "add" : "delete"](number);
      show();
    });
    field.addEventListener("change", () => naming.name([number], field.value));
    field.addEventListener("blur", () => (field.value = field.dataset.kept));
    field.addEventListener("keydown", (event) => {
      if (event.key === "Escape") {
        field.value = field.dataset.kept;
      } else if (event.key === "Enter") {
        naming.name([number], field.value);
        // On to the next prototype in sight order.
        let next = card.nextElementSibling;
        while (next?.hidden) next = next.nextElementSibling;
        (next?.querySelector(".name") ?? field).focus();
      } else {
        return;
      }
      event.preventDefault();
    });
    ground.addEventListener("click", () =>
      naming.name([number], naming.of(number) === naming.BACKGROUND ? "" : naming.BACKGROUND),
    );
    card.firstElementChild.after(row);
    return { number, card, pick, field, ground };
  });

  const shares = new Map(cards.map(({ number, share }) => [number, share]));
  const shareOf = (numbers) => numbers.reduce((sum, k) => sum + (shares.get(k) ?? 0), 0);

  const groupButton = ([name, members]) => {
    const item = document.createElement("li");
    const button = document.createElement("button");
    const swatch = document.createElement("i");
    const text = document.createElement("span");
    button.type = "button";
    swatch.className = "swatch";
    swatch.style.background = `rgb(${colour(members[0])})`;
    text.textContent = name;
    button.append(swatch, text, ` · ${members.length} · ${percent(shareOf(members))}`);
    button.title = `${name}: select ${word}s ${members.join(", ")}`;
    button.addEventListener("click", () => {
      picked.clear();
      members.filter((k) => shares.has(k)).forEach((k) => picked.add(k));
      show();
      rows.find(({ number }) => picked.has(number))?.card.scrollIntoView({ block: "nearest" });
    });
    item.append(button);
    return item;
  };

  const show = () => {
    const groups = naming.groups();
    const named = groups.flatMap(([, members]) => members);
    const count = (n, what) => `${n} ${what}${n === 1 ? "" : "s"}`;
    $("named").textContent =
      (named.length > 0
        ? `${count(named.length, word)} under ${count(groups.length, "name")}, ${percent(shareOf(named))} of all places.`
        : `No ${word} has a name yet.`) + (naming.unsaved() ? " Not saved." : "");
    for (const { number, card, pick, field, ground } of rows) {
      const name = naming.of(number) ?? "";
      // What is being typed stays.
      if (document.activeElement !== field || field.value === field.dataset.kept) field.value = name;
      field.dataset.kept = name;
      pick.checked = picked.has(number);
      card.classList.toggle("picked", pick.checked);
      card.classList.toggle("aside", name === naming.BACKGROUND);
      ground.setAttribute("aria-pressed", name === naming.BACKGROUND);
      card.querySelector(".swatch").style.background = `rgb(${colour(naming.first(number))})`;
    }
    $("groups").replaceChildren(...groups.map(groupButton));
    $("known").replaceChildren(...groups.map(([name]) => new Option(name, name)));
    $("together").hidden = picked.size === 0;
    $("picked").textContent = `${picked.size} selected`;
    $("undo").disabled = !naming.canUndo();
    $("redo").disabled = !naming.canRedo();
  };

  const nameTogether = (name) => {
    const numbers = [...picked];
    picked.clear();
    $("shared").value = "";
    naming.name(numbers, name);
    show();
  };
  const say = (text) => ($("trouble").textContent = text);

  $("together").addEventListener("submit", (event) => {
    event.preventDefault();
    nameTogether($("shared").value);
  });
  $("all-ground").addEventListener("click", () => nameTogether(naming.BACKGROUND));
  $("unpick").addEventListener("click", () => {
    picked.clear();
    show();
  });
  $("undo").addEventListener("click", naming.undo);
  $("redo").addEventListener("click", naming.redo);
  $("save").addEventListener("click", () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([naming.text()], { type: "application/json" }));
    link.download = "names.json";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
    naming.saved();
    say("");
  });
  $("load").addEventListener("change", async () => {
    const file = $("load").files[0];
    if (!file) return;
    try {
      const note = naming.load(await file.text());
      naming.saved();
      say(note && `${file.name} ${note}`);
    } catch (error) {
      say(`${file.name} ${error.message}. Nothing was taken from it.`);
    }
    // The same file may be chosen again.
    $("load").value = "";
  });
  document.addEventListener("keydown", (event) => {
    if (!(event.ctrlKey || event.metaKey) || event.altKey || document.querySelector("dialog[open]")) return;
    const pressed = event.key.toLowerCase();
    const redo = pressed === "y" || (pressed === "z" && event.shiftKey);
    if (pressed !== "z" && !redo) return;
    const { value, dataset } = event.target;
    // What is being typed is the field's own to take back.
    if (event.target.matches("[type=text], [type=search]") && value !== (dataset.kept ?? "")) return;
    event.preventDefault();
    (redo ? naming.redo : naming.undo)();
  });
  window.addEventListener("beforeunload", (event) => naming.unsaved() && event.preventDefault());

  naming.onChange(show);
  $("naming").hidden = false;
  show();
};
