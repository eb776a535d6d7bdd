// What the page asks the server, and the one sentence for whatever was not answered.

export class Refused extends Error {}

async function asked(address, options = {}) {
  let answer;
  try {
    answer = await fetch(address, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused("The server does not answer. Is leukoscope serve running?");
  }
  if (answer.ok) return answer;
  throw new Refused(await sentence(answer));
}

async function sentence(answer) {
  try {
    const { detail } = await answer.json();
    if (typeof detail === "string") return detail;
  } catch {
    // no JSON: a proxy's page, or a server that had no time for more
  }
  return `The server answered ${answer.status}: try again in a moment.`;
}

function form(files) {
  const body = new FormData();
  for (const file of files) body.append("images", file, file.name || "unnamed");
  return body;
}

export async function model() {
  return (await asked("model")).json();
}

export async function predict(files, signal) {
  return (await asked("predict", { method: "POST", body: form(files), signal })).json();
}

export async function explain(file, signal) {
  const answer = await asked("explain", { method: "POST", body: form([file]), signal });
  return { picture: await answer.blob(), version: answer.headers.get("x-model-version") };
}
