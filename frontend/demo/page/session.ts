/** The demo signs in anyone; a real application has its sign-in here. */
interface Grant {
  token: string;
  expires_in: number;
  heartbeat: number;
}

/** One user of the page, signed in. */
export interface Session {
  user: string;
  /** The service's heartbeat, in milliseconds. */
  heartbeat: number;
  getToken: (asked: { refresh: boolean }) => Promise<string>;
}

const RENEW_BEFORE_END = 60; // seconds

/**
 * Sign in as a user.
 *
 * @throws Error with the service's own words, if it takes no such id.
 */
export async function signIn(user: string): Promise<Session> {
  let grant = await askForToken(user);
  let renewAt = renewal(grant);
  return {
    user,
    heartbeat: grant.heartbeat * 1000,
    getToken: async ({ refresh }) => {
      if (refresh || Date.now() > renewAt) {
        grant = await askForToken(user);
        renewAt = renewal(grant);
      }
      return grant.token;
    },
  };
}

function renewal({ expires_in }: Grant): number {
  return Date.now() + (expires_in - RENEW_BEFORE_END) * 1000;
}

async function askForToken(user: string): Promise<Grant> {
  const answer = await fetch("/demo/token", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ user_id: user }),
  });
  if (answer.ok) return answer.json();
  const { title, errors = [] } = await answer.json();
  const problem = new Error(errors.map(({ message }: { message: string }) => message).join(", ") || title);
  throw Object.assign(problem, { status: answer.status });
}
