// What the studio answers; a refusal is thrown as the sentence it came with.

export async function ask(method, path, body) {
  const options = { method, headers: {} };
  if (body instanceof Blob) {
    options.body = body;
    options.headers["content-type"] = body.type || "application/octet-stream";
  } else if (body !== undefined) {
    options.body = JSON.stringify(body);
    options.headers["content-type"] = "application/json";
  }
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw new Error("The studio does not answer; is it still running?");
  }
  if (!answer.ok) {
    const problem = await answer.json().catch(() => ({}));
    throw new Error(problem.detail ?? `The studio refused (${answer.status}).`);
  }
  if (answer.status === 204) return null;
  return answer.headers.get("content-type").includes("json") ? answer.json() : answer.blob();
}

export async function watch(job, onProgress) {
  let now = job;
  while (now.state === "waiting" || now.state === "running") {
    onProgress(now);
    await new Promise((wake) => setTimeout(wake, 300));
    now = await ask("GET", `api/jobs/${job.id}`);
  }
  onProgress(now);
  if (now.state === "failed") throw new Error(now.reason);
  return now;
}

let timer = 0;
export function say(text) {
  const word = document.getElementById("word");
  word.textContent = text;
  word.classList.add("said");
  clearTimeout(timer);
  timer = setTimeout(() => word.classList.remove("said"), 4500);
}

// Runs what a person asked for; what goes wrong is said, not thrown.
export async function attempt(work) {
  try {
    return await work();
  } catch (error) {
    say(error.message);
    return undefined;
  }
}
