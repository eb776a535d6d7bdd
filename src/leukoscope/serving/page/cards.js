// A card for each cell: what the model sees, its call, where p(ALL) lies, and what to know of it.

const percent = (share) => `${(100 * share).toFixed(2)}%`;
const SEEN = { file: "in the training set", picture: "this picture was in training" };

export function card(template, image, model, flags) {
  const item = template.content.firstElementChild.cloneNode(true);
  const called = image.call ?? "not called";
  item.classList.add(image.call === "ALL" ? "all" : image.call === "hem" ? "hem" : "none");
  item.querySelector(".file").textContent = image.file;
  const call = item.querySelector(".call");
  call.textContent = called;
  call.classList.add(image.call === "ALL" ? "all" : image.call === "hem" ? "hem" : "none");
  item.querySelector(".p").textContent = `p(ALL) ${image.p_all.toFixed(3)}`;
  drawBar(item.querySelector(".bar"), image, model);
  const tags = item.querySelector(".tags");
  if (image.refer) tags.append(tag("refer", "refer: in the band, a person should look"));
  for (const name of image.flags) tags.append(tag("flag", `${name}: ${flags[name] ?? ""}`));
  if (image.seen !== "no") tags.append(tag("seen-before", SEEN[image.seen]));
  return item;
}

function tag(kind, text) {
  const item = document.createElement("li");
  item.className = kind;
  item.textContent = text;
  return item;
}

function drawBar(bar, image, model) {
  bar.querySelector(".mark").style.left = percent(image.p_all);
  bar.style.setProperty("--threshold", percent(model.threshold));
  bar.querySelector(".threshold").style.left = percent(model.threshold);
  const band = bar.querySelector(".band");
  let refer = "no refer band";
  if (model.refer_low === null) {
    band.hidden = true;
  } else {
    band.style.left = percent(model.refer_low);
    band.style.width = percent(model.refer_high - model.refer_low);
    refer = `refer band ${model.refer_low.toFixed(3)} to ${model.refer_high.toFixed(3)}`;
  }
  bar.setAttribute("aria-label",
    `p(ALL) ${image.p_all.toFixed(3)} on a scale from 0 to 1; threshold ${model.threshold.toFixed(3)}, ${refer}`);
}

// The centre `frame` pixels at native scale, black beyond the picture's edge: what the model is given.
export async function drawSeen(canvas, file, frame) {
  canvas.setAttribute("aria-label", `${file.name}: the centre that the model sees`);
  let picture;
  try {
    picture = await createImageBitmap(file, { imageOrientation: "none" });
  } catch {
    const note = document.createElement("div");
    note.className = "frame";
    note.textContent = "this browser does not show the format";
    canvas.replaceWith(note);
    return;
  }
  canvas.width = canvas.height = frame;
  const start = (length) => Math.floor((frame - length) / 2);
  canvas.getContext("2d").drawImage(picture, start(picture.width), start(picture.height));
  picture.close();
}

export const ORDERS = {
  dropped: (a, b) => a.position - b.position,
  look: (a, b) => urgency(b) - urgency(a) || a.position - b.position,
  all: (a, b) => b.p_all - a.p_all || a.position - b.position,
  hem: (a, b) => a.p_all - b.p_all || a.position - b.position,
};

const urgency = (image) => (image.flags.length ? 2 : image.refer ? 1 : 0);
