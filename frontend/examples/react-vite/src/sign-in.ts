import type { GetCredential } from "shirase";

/** Where the service is: on this page's own origin, unless the build is configured otherwise. */
export const SERVICE: string = import.meta.env.VITE_SHIRASE_URL ?? "";

/**
 * Gives tokens for a user. Your own backend makes them, for the signed-in user: a JWT with `sub` and `exp`. Here the
 * demo does, which signs in anyone.
 */
export function signIn(user: string): GetCredential {
  let token: string | null = null;
  return async ({ refresh }) => {
    if (token === null || refresh) {
      const answer = await fetch(`${SERVICE}/demo/token`, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ user_id: user }),
      });
      token = (await answer.json()).token as string;
    }
    return token;
  };
}
