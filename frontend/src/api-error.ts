/** The service refused a request. */
export interface ApiError extends Error {
  name: "ApiError";
  /** The HTTP status. */
  status: number;
  /** The milliseconds of the answer's `Retry-After`; 0 without one. */
  retryAfter: number;
  /** The `problem+json` body, if there was one: `title`, `detail`, `errors`. */
  problem: Record<string, unknown> | null;
}

/** Whether an error is an answer of the service, as opposed to a network that failed. */
export function isApiError(error: unknown): error is ApiError {
  return error instanceof Error && error.name === "ApiError";
}

/** An error from an answer that is not 2xx. */
export async function readApiError(response: Response): Promise<ApiError> {
  const problem = (await response.json().catch(() => null)) as ApiError["problem"];
  const detail = problem?.["detail"] ?? problem?.["title"] ?? response.statusText;
  return Object.assign(new Error(`${response.status}: ${detail}`), {
    name: "ApiError" as const,
    status: response.status,
    // Shirase's own are in seconds; one that is a date comes from elsewhere, and the backoff does for it.
    retryAfter: (Number(response.headers.get("Retry-After")) || 0) * 1000,
    problem,
  });
}

/** The HTTP status of an error from any source; 0 if it has none. */
export function statusOf(error: unknown): number {
  return Number((error as { status?: unknown } | null)?.status) || 0;
}
