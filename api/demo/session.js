// Who the page says it is, and every request that it makes.

const REQUEST_TIMEOUT = 10_000; // milliseconds
const RENEW_BEFORE_END = 60_000;

/** An answer that is not a success, in the words of RFC 9457. */
export class Problem extends Error {
  constructor(status, body) {
    super(body?.detail || body?.title || `The service answered ${status}.`);
    this.status = status; // 0: there was no answer
    this.errors = body?.errors ?? [];
  }
}

/** One user: signs in when needed and sends requests in that user's name. */
export class Session {
  #grant = null;

  constructor(userId) {
    this.userId = userId;
  }

  /** What the service granted, good for a minute or more: `token`, `heartbeat` and `renewAt`. */
  async grant() {
    if (!this.#grant || Date.now() >= this.#grant.renewAt) {
      const { token, expires_in, heartbeat } = await send("POST", "/demo/token", { user_id: this.userId });
      this.#grant = {
        token,
        heartbeat: heartbeat * 1000,
        renewAt: Date.now() + expires_in * 1000 - RENEW_BEFORE_END,
      };
    }
    return this.#grant;
  }

  /** Sign in anew at the next request. */
  forget() {
    this.#grant = null;
  }

  async request(method, path, body) {
    try {
      return await send(method, path, body, (await this.grant()).token);
    } catch (problem) {
      if (problem.status !== 401) throw problem;
      this.forget(); // the key may have changed under us: once more, with a new token
      return send(method, path, body, (await this.grant()).token);
    }
  }
}

async function send(method, path, body, token) {
  const headers = { Accept: "application/json" };
  if (token) headers.Authorization = `Bearer ${token}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let status, content;
  try {
    const response = await fetch(path, {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: AbortSignal.timeout(REQUEST_TIMEOUT),
    });
    status = response.status;
    const isJson = /\bjson\b/.test(response.headers.get("Content-Type") ?? "");
    content = isJson ? await response.json() : null;
  } catch {
    throw new Problem(0, { detail: "The service does not answer." });
  }
  if (status >= 400) throw new Problem(status, content);
  return content;
}
