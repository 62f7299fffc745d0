import { session } from "@/lib/session";

/** For a service on another origin, or without AUTH_COOKIE: the token of the signed-in user (`fetchToken`). */
export async function GET(): Promise<Response> {
  const headers = { "Cache-Control": "no-store", Vary: "*" };
  const signedIn = await session();
  return new Response(signedIn?.token ?? null, { status: signedIn ? 200 : 401, headers });
}
