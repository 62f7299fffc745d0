import { readApiError } from "./api-error.js";
import type { CredentialRequest, GetCredential } from "./options.js";

const JWT = /^[\w-]+\.[\w-]+\.[\w-]+$/;
const LONGEST = 7_000; // characters: with a browser's other headers, more does not fit into a request
const PROBLEM = `shirase: getToken must return a JWT up to ${LONGEST} long`;

let isReported = false; // so that the console does not repeat it at each attempt

/**
 * Call `getToken` and check what it returns: an error page of the host is a fault that may pass, not a user who is
 * signed out.
 *
 * @throws TypeError if it is not a token, or too long.
 */
export async function readToken(getToken: GetCredential, request: CredentialRequest): Promise<string> {
  const token = String(await getToken(request)).trim(); // a text file of a token ends with a newline
  if (JWT.test(token) && token.length <= LONGEST) return token;
  // biome-ignore lint/suspicious/noConsole: only the page's author can fix it
  if (!isReported) console.error(PROBLEM);
  isReported = true;
  throw new TypeError(PROBLEM);
}

/**
 * A `getToken` that asks your own backend: `address` answers a signed-in user with a JWT, as text or as
 * `{"token": "…"}`, and everybody else with 401, which signs the user out. Any other answer is tried again.
 *
 * @param init what `fetch` takes, such as `headers` or `credentials`.
 */
export function fetchToken(address: string, init?: RequestInit): GetCredential {
  return async () => {
    const response = await fetch(address, { cache: "no-store", ...init });
    if (!response.ok) throw await readApiError(response);
    const text = await response.text();
    return text.startsWith("{") ? JSON.parse(text).token : text;
  };
}
