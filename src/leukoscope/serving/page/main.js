// The page: which model answers, what was dropped, what came back.

import * as api from "./api.js";
import { ORDERS, card, drawSeen } from "./cards.js";
import { filesOf, tooMuch } from "./files.js";
import { HeatMaps } from "./heat_maps.js";
import { sentenceOf, subjectTable } from "./summary.js";

const at = (id) => document.getElementById(id);
const heatMaps = new HeatMaps(() => {});
let about = null; // the answer of /model
let asking = null; // the request that runs
let shown = []; // {image, item} of the cards

async function introduce() {
  try {
    about = await api.model();
  } catch (error) {
    at("model").textContent = "";
    complain([error.message]);
    return;
  }
  describe(about.model);
  const { images, image_mb: megabytes } = about.limits;
  at("limits").textContent = `Up to ${images} pictures at once (bmp, png, jpg, tif; ${megabytes} MB each).`;
  at("calling").textContent = `${about.calling}.`;
  at("flagging").textContent = `${upperFirst(about.flagging)}.`;
  at("band-key").hidden = about.model.refer_low === null;
}

const upperFirst = (text) => text.slice(0, 1).toUpperCase() + text.slice(1);

function describe(model) {
  at("model").textContent =
    `${model.name}, version ${model.version}: ${model.row}, trained on ${model.data_kind} cells of “${model.trained_on}”.`;
  at("warning").hidden = !model.not_real;
  at("warning").textContent = model.not_real ? `${upperFirst(model.caution)}.` : "";
}

function complain(sentences) {
  const list = document.createElement("ul");
  for (const sentence of sentences) {
    const item = document.createElement("li");
    item.textContent = sentence;
    list.append(item);
  }
  at("errors").replaceChildren(...(sentences.length ? [list] : []));
}

function tell(sentence, busy = false) {
  document.body.classList.toggle("busy", busy);
  at("status").textContent = sentence;
}

async function score(files) {
  if (!files.length) return;
  asking?.abort();
  asking = new AbortController();
  const { signal } = asking;
  complain([]);
  const refused = about ? tooMuch(files, about.limits) : "";
  if (refused) {
    tell("");
    complain([refused]);
    return;
  }
  tell(`Scoring ${files.length} ${files.length === 1 ? "picture" : "pictures"}…`, true);
  try {
    if (!about) await introduce();
    const answer = await api.predict(files, signal);
    if (answer.model.version !== about?.model.version) await introduce();
    show(answer, files);
    tell(sentenceOf(answer));
    complain(answer.unreadable.map(({ file, reason }) => `${file}: ${reason}`));
  } catch (error) {
    if (signal.aborted) return; // something else was dropped meanwhile
    clear();
    tell("");
    complain([error instanceof api.Refused ? error.message : `The page failed: ${error.message}`]);
  }
}

function clear() {
  heatMaps.reset();
  shown = [];
  at("cards").replaceChildren();
  at("results").hidden = true;
  document.body.classList.remove("answered");
}

function show(answer, files) {
  clear();
  describe(answer.model);
  at("subjects").replaceChildren(...(answer.subjects.length ? bySubject(answer) : []));
  shown = answer.images.map((image) => {
    const item = card(at("card"), image, answer.model, about.flags);
    drawSeen(item.querySelector("canvas"), files[image.position], answer.model.frame);
    heatMaps.add(item.querySelector(".map .frame"), files[image.position]);
    return { image, item };
  });
  arrange();
  at("results").hidden = false;
  document.body.classList.add("answered");
}

function bySubject(answer) {
  const note = document.createElement("p");
  note.className = "dim";
  note.textContent = answer.about_subjects;
  return [note, subjectTable(answer.subjects)];
}

function arrange() {
  const order = ORDERS[at("order").value];
  shown.sort((a, b) => order(a.image, b.image));
  at("cards").append(...shown.map(({ item }) => item));
}

function listen() {
  at("files").addEventListener("change", () => {
    const files = [...at("files").files];
    at("files").value = ""; // so that the same files may be chosen again
    score(files);
  });
  at("ask").addEventListener("submit", (event) => event.preventDefault());
  at("order").addEventListener("change", arrange);
  at("heat-maps").addEventListener("change", ({ target }) => {
    at("cards").classList.toggle("no-maps", !target.checked);
    heatMaps.enable(target.checked);
  });
  for (const name of ["dragenter", "dragover"]) {
    addEventListener(name, (event) => {
      event.preventDefault();
      document.body.classList.add("over");
    });
  }
  addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) document.body.classList.remove("over");
  });
  addEventListener("drop", async (event) => {
    event.preventDefault();
    document.body.classList.remove("over");
    score(await filesOf(event.dataTransfer));
  });
}

listen();
introduce();
