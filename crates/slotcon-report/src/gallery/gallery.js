"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const read = (element) => JSON.parse(element.textContent);
  const { dims, word, prototypes } = read($("index"));
  const naming = openNaming(read($("names")), word);
  const pictures = [...document.querySelectorAll("script.picture")].map(read);
  const percent = (share) => `${(100 * share).toFixed(share < 0.00095 ? 2 : share < 0.0995 ? 1 : 0)} %`.replace(/^0\.00 /, "< 0.01 ");

  // ---- what a picture holds ----

  const bytes = (text) => {
    const raw = atob(text);
    const out = new Uint8Array(raw.length);
    for (let i = 0; i < raw.length; i++) out[i] = raw.charCodeAt(i);
    return out;
  };

  /** The winning prototype of every pixel: pairs of (id, run), LEB128. */
  const labels = (picture) => {
    const data = bytes(picture.labels);
    const out = new Uint16Array(picture.size[0] * picture.size[1]);
    let at = 0;
    const number = () => {
      let value = 0;
      for (let shift = 0; ; shift += 7) {
        const byte = data[at++];
        value += (byte & 127) * 2 ** shift;
        if (byte < 128) return value;
      }
    };
    for (let to = 0; at < data.length; ) {
      const id = number();
      const end = to + number();
      out.fill(id, to, end);
      to = end;
    }
    return out;
  };

  const features = (picture) => (picture.kept ??= new Int8Array(bytes(picture.features).buffer));

  const image = async (picture) => {
    const element = new Image();
    element.src = `data:image/jpeg;base64,${picture.jpeg}`;
    await element.decode();
    return element;
  };

  // ---- drawing ----

  /** Hues a golden angle apart, as in the overlays of `slotcon segment`. */
  const colour = (id) => {
    const hue = ((id * 0.618033988749895) % 1) * 6;
    const value = [1, 0.75, 0.5][Math.floor(id / 7) % 3];
    const part = (offset) => {
      const ramp = Math.min(1, Math.max(0, 2 - Math.abs(((hue + offset) % 6) - 2)));
      return Math.round(255 * value * (0.15 + 0.85 * ramp));
    };
    return [part(2), part(0), part(4)];
  };

  /** One pixel as four bytes in one number, red first in memory. */
  const rgba = (r, g, b, a) => ((a << 24) | (b << 16) | (g << 8) | r) >>> 0;
  const OUTSIDE = rgba(134, 138, 146, 205);
  const BORDER = rgba(255, 214, 10, 255);
  const RED = rgba(255, 0, 0, 102);

  const paintMask = (style, ids, width, k) => {
    if (style === "all") {
      const palette = new Map();
      for (const id of new Set(ids)) palette.set(id, rgba(...colour(naming.first(id)), 140));
      return (i) => palette.get(ids[i]);
    }
    if (style === "tint") return (i) => (ids[i] === k ? RED : 0);
    if (style !== "spotlight") return null;
    return (i) => {
      if (ids[i] !== k) return OUTSIDE;
      const x = i % width;
      const border =
        (x > 0 && ids[i - 1] !== k) ||
        (x + 1 < width && ids[i + 1] !== k) ||
        (i >= width && ids[i - width] !== k) ||
        (i + width < ids.length && ids[i + width] !== k);
      return border ? BORDER : 0;
    };
  };

  /** Fog where places are no more similar than any, clear where they are most similar. */
  const paintHeat = (picture, heat, low, high) => {
    const [width, height] = picture.size;
    const [rows, columns] = picture.grid;
    const within = (at, count) => Math.min(count - 1, Math.max(0, at));
    return (i) => {
      const y = ((Math.floor(i / width) + 0.5) * rows) / height - 0.5;
      const x = (((i % width) + 0.5) * columns) / width - 0.5;
      const [top, left] = [Math.floor(y), Math.floor(x)];
      const [b, a] = [y - top, x - left];
      const at = (r, c) => heat[within(r, rows) * columns + within(c, columns)];
      const value =
        (1 - b) * ((1 - a) * at(top, left) + a * at(top, left + 1)) +
        b * ((1 - a) * at(top + 1, left) + a * at(top + 1, left + 1));
      const t = Math.min(1, Math.max(0, (value - low) / (high - low || 1)));
      return rgba(134, 138, 146, Math.round(225 * (1 - t * t)));
    };
  };

  const draw = async (canvas, picture, paint) => {
    const [width, height] = picture.size;
    const ticket = (canvas.ticket = {});
    const shown = await image(picture);
    // Something newer may have been asked for meanwhile.
    if (canvas.ticket !== ticket) return;
    const pixels = new ImageData(width, height);
    const whole = new Uint32Array(pixels.data.buffer);
    if (paint) for (let i = 0; i < whole.length; i++) whole[i] = paint(i);
    const layer = document.createElement("canvas");
    [layer.width, layer.height] = [width, height];
    layer.getContext("2d").putImageData(pixels, 0, 0);
    [canvas.width, canvas.height] = [width, height];
    const context = canvas.getContext("2d");
    context.drawImage(shown, 0, 0, width, height);
    context.drawImage(layer, 0, 0);
  };

  /** Draws what is near the screen and forgets what is not: there may be thousands of canvases. */
  const lazily = new IntersectionObserver(
    (entries) => {
      for (const { target, isIntersecting } of entries) {
        if (isIntersecting) {
          target.redraw();
        } else {
          target.ticket = null;
          [target.width, target.height] = [1, 1];
        }
      }
    },
    { rootMargin: "400px" },
  );

  const tile = (picture, redraw, caption, press) => {
    const item = document.createElement("li");
    const button = document.createElement("button");
    const canvas = document.createElement("canvas");
    const text = document.createElement("span");
    button.type = "button";
    button.className = "tile";
    button.setAttribute("aria-label", `${picture.name}, ${caption}`);
    button.title = `${picture.name} (${picture.original.join(" × ")})`;
    [canvas.width, canvas.height] = [1, 1];
    canvas.style.aspectRatio = picture.size.join("/");
    canvas.redraw = () => redraw(canvas);
    lazily.observe(canvas);
    text.className = "caption";
    text.textContent = caption;
    button.append(canvas);
    button.addEventListener("click", (event) => {
      const box = canvas.getBoundingClientRect();
      // A key press has no place.
      press(event.detail === 0 ? null : [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height]);
    });
    item.style.setProperty("--shape", picture.size[0] / picture.size[1]);
    item.append(button, text);
    return item;
  };

  // ---- the cards ----

  const style = $("style");
  const cards = prototypes.map((prototype) => {
    const { number, share, pictures: count, best } = prototype;
    const card = document.createElement("article");
    card.className = "card group";
    card.id = `prototype-${number}`;
    card.innerHTML = `<header><i class="swatch"></i><h3></h3><span class="quiet small figures"></span></header><ul class="tiles"></ul>`;
    card.querySelector(".swatch").style.background = `rgb(${colour(number)})`;
    card.querySelector("h3").textContent = `${word[0].toUpperCase()}${word.slice(1)} ${number}`;
    card.querySelector("span").textContent =
      count > 0 ? `${percent(share)} of all places, in ${count} picture${count > 1 ? "s" : ""}` : "wins nowhere";
    for (const [index, score] of best) {
      const picture = pictures[index];
      if (!picture) continue;
      const redraw = (canvas) =>
        draw(canvas, picture, paintMask(style.value, labels(picture), picture.size[0], number));
      const press = (at) => view(index, at ? cellAt(picture, at) : cellOf(picture, number), number);
      card.lastElementChild.append(tile(picture, redraw, score.toFixed(2), press));
    }
    const names = best.map(([index]) => pictures[index]?.name.toLowerCase() ?? "");
    return { ...prototype, card, names, sure: best[0]?.[1] ?? -1 };
  });

  const cellAt = (picture, [x, y]) => {
    const [rows, columns] = picture.grid;
    const within = (part, count) => Math.min(count - 1, Math.max(0, Math.floor(part * count)));
    return [within(x, columns), within(y, rows)];
  };

  /** The pixel of a prototype's mask that is nearest to the mask's middle, as a cell. */
  const cellOf = (picture, number) => {
    const ids = labels(picture);
    const [width, height] = picture.size;
    const inside = [];
    ids.forEach((id, i) => id === number && inside.push([i % width, Math.floor(i / width)]));
    if (inside.length === 0) return cellAt(picture, [0.5, 0.5]);
    const mean = [0, 1].map((axis) => inside.reduce((sum, at) => sum + at[axis], 0) / inside.length);
    const far = ([x, y]) => (x - mean[0]) ** 2 + (y - mean[1]) ** 2;
    const [x, y] = inside.reduce((a, b) => (far(b) < far(a) ? b : a));
    return cellAt(picture, [(x + 0.5) / width, (y + 0.5) / height]);
  };

  const orders = {
    size: (a, b) => b.share - a.share || a.number - b.number,
    number: (a, b) => a.number - b.number,
    sure: (a, b) => b.sure - a.sure,
  };

  /** Every word of the search must fit: a number the prototype, `>5%` the size, `?` no name, anything else a name. */
  const fits = (word) => {
    if (word === "?") return (entry) => naming.of(entry.number) === undefined;
    const size = /^([<>])(\d*\.?\d+)%?$/.exec(word);
    if (size) return ({ share }) => (size[1] === ">" ? 100 * share > +size[2] : 100 * share < +size[2]);
    const number = /^#?(\d+)$/.exec(word);
    return (entry) =>
      (number !== null && entry.number === +number[1]) ||
      naming.of(entry.number)?.toLowerCase().includes(word) ||
      // Digits alone are a prototype's number unless there are more of them than a number has.
      ((number === null || word.length > 4) && entry.names.some((name) => name.includes(word)));
  };

  const arrange = () => {
    const words = $("search").value.toLowerCase().replace(/([<>])\s+/g, "$1").split(/[\s,]+/).filter(Boolean).map(fits);
    const sorted = [...cards].sort(orders[$("order").value]);
    $("cards").append(...sorted.map(({ card }) => card));
    let found = 0;
    for (const entry of cards) {
      entry.card.hidden = !words.every((fit) => fit(entry));
      found += !entry.card.hidden;
    }
    $("count").textContent = `${found} of ${cards.length} ${word}s.`;
  };

  // ---- one picture, one place ----

  const viewer = $("viewer");
  const large = $("large");
  const shown = { index: -1, cell: [0, 0], number: null, zoom: 1 };

  /** Similarity of all places to the one given, picture by picture. */
  const search = (index, [x, y]) => {
    const from = pictures[index];
    const all = features(from);
    const start = (y * from.grid[1] + x) * dims;
    const wanted = all.subarray(start, start + dims);
    const hits = [];
    let [sum, count] = [0, 0];
    pictures.forEach((picture, other) => {
      if (!picture) return;
      const data = features(picture);
      const heat = new Float32Array(data.length / dims);
      let best = 0;
      for (let cell = 0; cell < heat.length; cell++) {
        let product = 0;
        for (let d = 0, at = cell * dims; d < dims; d++) product += wanted[d] * data[at + d];
        heat[cell] = product / 16129;
        if (heat[cell] > heat[best]) best = cell;
        sum += heat[cell];
      }
      count += heat.length;
      hits.push({ other, heat, best, value: heat[best] });
    });
    return { hits, mean: sum / count };
  };

  const NEIGHBOURS = 12;
  const middle = (picture, [x, y]) => [(100 * (x + 0.5)) / picture.grid[1], (100 * (y + 0.5)) / picture.grid[0]];
  const put = (mark, picture, cell) => {
    const [left, top] = middle(picture, cell);
    mark.style.left = `${left}%`;
    mark.style.top = `${top}%`;
  };

  /** 100 % is all of the picture. */
  const showZoom = () => {
    const [width, height] = pictures[shown.index].size;
    $("sheet").style.setProperty("--shape", width / height);
    $("sheet").style.setProperty("--zoom", shown.zoom);
    $("zoom").textContent = `${Math.round(100 * shown.zoom)} %`;
  };

  const refresh = () => {
    const { index, cell } = shown;
    const picture = pictures[index];
    const ids = labels(picture);
    const [x, y] = middle(picture, cell).map((part) => part / 100);
    const [width, height] = picture.size;
    const here = ids[Math.floor(y * height) * width + Math.floor(x * width)];
    const known = prototypes.find(({ number }) => number === here);
    $("viewer-title").textContent = picture.name;
    $("place").textContent =
      `Place ${cell[0] + 1} of ${picture.grid[1]} across, ${cell[1] + 1} of ${picture.grid[0]} down: ${word} ${here}` +
      (naming.of(here) ? `, ${naming.of(here)}` : "") +
      (known ? ` (${percent(known.share)} of all places)` : "");
    large.setAttribute("aria-label", `${picture.name}; ${$("place").textContent}`);
    put($("mark"), picture, cell);
    showZoom();

    const list = $("neighbours");
    [...list.querySelectorAll("canvas")].forEach((canvas) => lazily.unobserve(canvas));
    const { hits, mean } = dims > 0 ? search(index, cell) : { hits: [], mean: 0 };
    const own = hits.find(({ other }) => other === index);
    const kind = $("overlay").value;
    const heat = (of, hit) => paintHeat(of, hit.heat, mean + 0.3 * (1 - mean), 1);
    draw(
      large,
      picture,
      kind === "similar" && own ? heat(picture, own) : paintMask(kind === "mask" ? "spotlight" : kind, ids, width, here),
    );
    const nearest = hits.filter(({ other }) => other !== index).sort((a, b) => b.value - a.value).slice(0, NEIGHBOURS);
    list.replaceChildren(
      ...nearest.map((hit) => {
        const of = pictures[hit.other];
        const at = [hit.best % of.grid[1], Math.floor(hit.best / of.grid[1])];
        const item = tile(of, (canvas) => draw(canvas, of, heat(of, hit)), hit.value.toFixed(3), (place) =>
          view(hit.other, place ? cellAt(of, place) : at, null),
        );
        const ring = document.createElement("i");
        ring.className = "ring";
        put(ring, of, at);
        item.firstElementChild.append(ring);
        return item;
      }),
    );
    history.replaceState(null, "", `#picture=${index}&x=${cell[0]}&y=${cell[1]}`);
  };

  const view = (index, cell, number) => {
    Object.assign(shown, { index, cell, number, zoom: 1 });
    if (!viewer.open) viewer.showModal();
    viewer.scrollTop = 0;
    refresh();
    large.focus({ preventScroll: true });
  };

  const zoomBy = (factor) => {
    const stage = $("stage");
    const [x, y] = middle(pictures[shown.index], shown.cell).map((part) => part / 100);
    shown.zoom = Math.min(8, Math.max(1, shown.zoom * factor));
    showZoom();
    // The place stays in sight.
    stage.scrollLeft = x * stage.scrollWidth - stage.clientWidth / 2;
    stage.scrollTop = y * stage.scrollHeight - stage.clientHeight / 2;
  };

  large.addEventListener("click", (event) => {
    const box = large.getBoundingClientRect();
    shown.cell = cellAt(pictures[shown.index], [
      (event.clientX - box.left) / box.width,
      (event.clientY - box.top) / box.height,
    ]);
    refresh();
  });
  large.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (step) {
      const [rows, columns] = pictures[shown.index].grid;
      const move = (at, by, count) => Math.min(count - 1, Math.max(0, at + by));
      shown.cell = [move(shown.cell[0], step[0], columns), move(shown.cell[1], step[1], rows)];
      refresh();
    } else if (event.key === "+" || event.key === "=") {
      zoomBy(1.5);
    } else if (event.key === "-") {
      zoomBy(1 / 1.5);
    } else {
      return;
    }
    event.preventDefault();
  });
  $("larger").addEventListener("click", () => zoomBy(1.5));
  $("smaller").addEventListener("click", () => zoomBy(1 / 1.5));
  $("overlay").addEventListener("change", refresh);
  $("close").addEventListener("click", () => viewer.close());
  viewer.addEventListener("click", (event) => event.target === viewer && viewer.close());
  viewer.addEventListener("close", () => {
    history.replaceState(null, "", location.pathname + location.search);
    $("neighbours").replaceChildren();
  });

  /** `#picture=3&x=5&y=9` opens a place, so that it can be sent to somebody. */
  const follow = () => {
    const asked = new URLSearchParams(location.hash.slice(1));
    const picture = pictures[+asked.get("picture")];
    if (!asked.has("picture") || !picture) return;
    const [rows, columns] = picture.grid;
    const within = (name, count) => Math.min(count - 1, Math.max(0, Math.floor(+asked.get(name)) || 0));
    view(+asked.get("picture"), [within("x", columns), within("y", rows)], null);
  };

  $("controls").addEventListener("submit", (event) => event.preventDefault());
  $("search").addEventListener("input", arrange);
  $("order").addEventListener("change", arrange);
  const redrawAll = () =>
    document.querySelectorAll("#cards canvas").forEach((canvas) => {
      // Those out of sight are drawn when they come into it.
      if (canvas.width > 1) canvas.redraw();
    });
  style.addEventListener("change", redrawAll);
  // Joined groups have one colour.
  naming.onChange(() => style.value === "all" && redrawAll());
  window.addEventListener("hashchange", follow);
  nameCards(naming, cards, { colour, percent });
  arrange();
  follow();
})();
