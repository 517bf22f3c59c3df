"use strict";
/**
 * Names of the prototypes (or of groups found in their place: `word` says which), as names.json has them: those of one name are one
 * group, whatever the case. Every change can be taken back.
 */
const openNaming = (start, word) => {
  const VERSION = 1;
  const BACKGROUND = "background";
  const key = (name) => name.trim().toLowerCase();
  const listeners = [];
  const [before, after] = [[], []];

  /** Names by number from the content of a file; an Error says what is wrong with it. */
  const read = (file) => {
    if (typeof file?.version !== "number" || typeof file.checkpoint !== "string") throw new Error("is no file of names");
    if (file.version !== VERSION)
      throw new Error(`is version ${file.version} of the format; this page reads version ${VERSION}`);
    if (file.prototypes !== start.prototypes)
      throw new Error(
        `names the groups of a checkpoint with ${file.prototypes} ${word}s; this one has ${start.prototypes}`,
      );
    const found = new Map();
    const put = (k, name) => {
      if (!/^\d+$/.test(k) || +k >= start.prototypes)
        throw new Error(`names ${word} ${k}, but there are ${start.prototypes}, numbered from 0`);
      if (typeof name !== "string" || name.trim() === "")
        throw new Error(`gives ${word} ${k} the name ${JSON.stringify(name)}; leave out those that have none`);
      if (found.has(+k) && key(found.get(+k)) !== key(name))
        throw new Error(`says that ${word} ${k} is ${JSON.stringify(found.get(+k))} and also ${name}; one of the two`);
      found.set(+k, key(name) === BACKGROUND ? BACKGROUND : name.trim());
    };
    for (const [k, name] of Object.entries(file.names ?? {})) put(k, name);
    for (const k of file.background ?? []) put(String(k), BACKGROUND);
    return found;
  };

  let names = read(start);

  const text = () => {
    const sorted = [...names].sort(([a], [b]) => a - b);
    const file = {
      version: VERSION,
      prototypes: start.prototypes,
      checkpoint: start.checkpoint,
      names: Object.fromEntries(sorted.filter(([, name]) => name !== BACKGROUND)),
      background: sorted.filter(([, name]) => name === BACKGROUND).map(([k]) => k),
    };
    return `${JSON.stringify(file, null, 1)}\n`;
  };

  let kept = text();

  const tell = () => listeners.forEach((listener) => listener());
  const change = (to) => {
    const was = [names, text()];
    names = to;
    if (text() === was[1]) return;
    before.push(was[0]);
    after.length = 0;
    tell();
  };
  const step = (from, to) => {
    if (from.length === 0) return;
    to.push(names);
    names = from.pop();
    tell();
  };

  return {
    BACKGROUND,
    of: (k) => names.get(k),

    /** Gives prototypes a name; an empty one takes their names away. A name that others have joins them. */
    name: (numbers, given) => {
      const to = new Map(names);
      numbers.forEach((k) => to.delete(k));
      const wanted = key(given) === BACKGROUND ? BACKGROUND : given.trim();
      const known = [...to.values()].find((name) => key(name) === key(wanted));
      if (wanted !== "") numbers.forEach((k) => to.set(k, known ?? wanted));
      change(to);
    },

    /** `[name, its prototypes]`, by name, the background first. */
    groups: () => {
      const found = new Map();
      for (const [k, name] of names) {
        const group = found.get(key(name)) ?? [name, []];
        group[1].push(k);
        found.set(key(name), group);
      }
      const rank = ([id]) => (id === BACKGROUND ? "" : id);
      const sorted = [...found].sort((a, b) => (rank(a) < rank(b) ? -1 : 1));
      return sorted.map(([, [name, members]]) => [name, members.sort((a, b) => a - b)]);
    },

    /** The lowest prototype of the same name, which stands for all of them. */
    first: (k) => {
      const own = names.get(k);
      if (own === undefined) return k;
      return Math.min(...[...names].filter(([, name]) => key(name) === key(own)).map(([other]) => other));
    },

    word,
    text,
    unsaved: () => text() !== kept,
    saved: () => {
      kept = text();
      tell();
    },

    /** Takes the names of a file instead of these; gives what is to be said of it, if anything. */
    load: (content) => {
      let file;
      try {
        file = JSON.parse(content);
      } catch (error) {
        throw new Error(`is no JSON: ${error.message}`);
      }
      change(read(file));
      return file.checkpoint === start.checkpoint
        ? ""
        : `names the groups of another checkpoint (its ${word}s are ${file.checkpoint}, those of this page ` +
            `${start.checkpoint}): see whether they still fit. What is saved here is of this one.`;
    },

    undo: () => step(before, after),
    redo: () => step(after, before),
    canUndo: () => before.length > 0,
    canRedo: () => after.length > 0,
    onChange: (listener) => listeners.push(listener),
  };
};
