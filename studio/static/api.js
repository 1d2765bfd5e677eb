// Requests to the studio. Error responses are thrown with the message of the studio.

export async function request(method, path, body) {
  const options = { method, headers: {} };
  if (body instanceof Blob) {
    options.body = body;
    options.headers["content-type"] = body.type || "application/octet-stream";
  } else if (body !== undefined) {
    options.body = JSON.stringify(body);
    options.headers["content-type"] = "application/json";
  }
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Error("The studio does not respond. Is it still running?");
  }
  if (!response.ok) {
    const problem = await response.json().catch(() => ({}));
    throw new Error(problem.detail ?? `The studio refused (${response.status}).`);
  }
  if (response.status === 204) return null;
  return response.headers.get("content-type").includes("json") ? response.json() : response.blob();
}

export async function watch(job, onProgress) {
  let now = job;
  while (now.state === "waiting" || now.state === "running") {
    onProgress(now);
    await new Promise((wake) => setTimeout(wake, 300));
    now = await request("GET", `api/jobs/${job.id}`);
  }
  onProgress(now);
  if (now.state === "failed") throw new Error(now.reason);
  return now;
}

let timer = 0;
export function notify(text) {
  const notice = document.getElementById("notice");
  notice.textContent = text;
  notice.classList.add("shown");
  clearTimeout(timer);
  timer = setTimeout(() => notice.classList.remove("shown"), 4500);
}

// Runs `work` and shows its error, if any, as a notice.
export async function attempt(work) {
  try {
    return await work();
  } catch (error) {
    notify(error.message);
    return undefined;
  }
}
