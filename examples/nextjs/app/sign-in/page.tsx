import { redirect } from "next/navigation";
import { signIn } from "@/lib/session";

async function enter(form: FormData): Promise<void> {
  "use server";
  await signIn(String(form.get("user")));
  redirect("/");
}

export default function SignIn() {
  return (
    <main>
      <form action={enter}>
        <input name="user" aria-label="User" required /> <button type="submit">Sign in</button>
      </form>
    </main>
  );
}
