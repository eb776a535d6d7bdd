// Files from what was dropped, folders with everything below them included.

const HIDDEN = /^(\.|__MACOSX$)/;

export async function filesOf(transfer) {
  const entries = [...transfer.items]
    .filter((item) => item.kind === "file")
    .map((item) => item.webkitGetAsEntry?.() ?? item.getAsFile());
  const found = await Promise.all(entries.filter(Boolean).map(filesBelow));
  return found.flat();
}

async function filesBelow(entry) {
  if (entry instanceof File) return [entry];
  if (entry.isFile) return [await new Promise((resolve, reject) => entry.file(resolve, reject))];
  const inside = await entriesOf(entry.createReader());
  const shown = inside.filter((one) => !HIDDEN.test(one.name)).sort((a, b) => a.name.localeCompare(b.name));
  return (await Promise.all(shown.map(filesBelow))).flat();
}

async function entriesOf(reader) {
  const all = [];
  for (;;) {
    // a reader gives some entries at a time, and none when it is done
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!some.length) return all;
    all.push(...some);
  }
}

// Why these files are not sent at all, in a sentence; "" where they may be.
export function tooMuch(files, limits) {
  if (files.length > limits.images) {
    return `${files.length} files at once: up to ${limits.images} are taken. Drop them in parts, or use leukoscope predict.`;
  }
  const megabytes = files.reduce((sum, file) => sum + file.size, 0) / 1e6;
  if (megabytes > limits.upload_mb) {
    return `${Math.ceil(megabytes)} MB at once: up to ${limits.upload_mb} MB are taken. Drop them in parts.`;
  }
  return "";
}
