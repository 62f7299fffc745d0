/** The service refused a request. */
export interface ApiError extends Error {
  name: "ApiError";
  /** The HTTP status. */
  status: number;
  /** Seconds after which to ask again, where the service said so. */
  retryAfter: number | null;
  /** The `problem+json` body, if there was one: `title`, `detail`, `errors`. */
  problem: Record<string, unknown> | null;
}

/** Whether an error is an answer of the service, as opposed to a network that failed. */
export function isApiError(error: unknown): error is ApiError {
  return error instanceof Error && error.name === "ApiError";
}
