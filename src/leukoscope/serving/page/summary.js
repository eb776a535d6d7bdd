// What was found, in a sentence and by subject.

const percent = (share) => `${(100 * share).toFixed(0)}\u00a0%`;
const counted = (n, one, many = `${one}s`) => `${n} ${n === 1 ? one : many}`;

export function sentenceOf(answer) {
  const { images, unreadable, model } = answer;
  const called = (call) => images.filter((image) => image.call === call).length;
  const parts = [`${called("ALL")} called ALL`, `${called("hem")} hem`];
  const flagged = images.filter((image) => image.flags.length).length;
  if (flagged) parts.push(`${flagged} flagged and not called`);
  const refer = images.filter((image) => image.refer).length;
  if (refer) parts.push(`${refer} to refer`);
  const unread = unreadable.length ? ` ${counted(unreadable.length, "file")} could not be read.` : "";
  return `${counted(images.length, "cell")}: ${parts.join(", ")}. Version ${model.version} of ${model.name} answered.${unread}`;
}

const COLUMNS = ["Subject", "Cells", "Called ALL", "To refer", "Seen in training"];

export function subjectTable(subjects) {
  const scroll = document.createElement("div");
  scroll.className = "scroll";
  scroll.tabIndex = 0;
  scroll.setAttribute("role", "region");
  scroll.setAttribute("aria-label", "Subjects");
  const table = document.createElement("table");
  const head = table.createTHead().insertRow();
  COLUMNS.forEach((title, position) => head.append(cell("th", title, position ? "n" : "", "col")));
  const body = table.createTBody();
  for (const subject of subjects) {
    const row = body.insertRow();
    row.append(cell("th", subject.subject, "", "row"));
    row.append(cell("td", subject.cells, "n"), calledAll(subject));
    row.append(cell("td", subject.refer ?? "not known", "n"), cell("td", subject.seen, "n"));
  }
  scroll.append(table);
  return scroll;
}

function cell(kind, text, className, scope) {
  const made = document.createElement(kind);
  made.textContent = text;
  made.className = className;
  if (scope) made.scope = scope;
  return made;
}

function calledAll(subject) {
  if (subject.share_all === null) return cell("td", "none called", "n");
  const made = cell("td", `${subject.called_all} of ${subject.called}, ${percent(subject.share_all)} `, "n");
  const interval = document.createElement("span");
  interval.className = "interval";
  interval.textContent = `[${(100 * subject.low).toFixed(0)}, ${(100 * subject.high).toFixed(0)}]`;
  made.append(interval);
  return made;
}
