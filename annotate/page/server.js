// Requests to our own routes; both pages have this.

let leaving = false;

function newKey() {
  // crypto.randomUUID is missing on plain http, where a small team may well run this
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((b) => b.toString(16).padStart(2, "0")).join("");
}

class Refused extends Error {} // 4xx: trying again would not help
class Later extends Error {} // the server says why not now

async function call(path, body) {
  const request = {
    headers: { Accept: "application/json" },
    cache: "no-store",
    redirect: "error",
    signal: AbortSignal.timeout(20000),
  };
  if (body !== undefined) {
    request.method = "POST";
    request.headers["Content-Type"] = "application/json";
    request.body = JSON.stringify(body);
  }
  const answer = await fetch(path, request);
  if (answer.status === 401) {
    if (!leaving) location.assign("/login?again");
    leaving = true;
    await new Promise(() => {}); // what waits here stays; nothing more happens on this page
  }
  const data = await answer.json();
  if (answer.ok) return data;
  const message = typeof data.detail === "string" ? data.detail : "error " + answer.status;
  const later = answer.status >= 500 || answer.status === 408 || answer.status === 429;
  throw later ? new Later(message) : new Refused(message);
}
