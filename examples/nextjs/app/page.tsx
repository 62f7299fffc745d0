import Link from "next/link";
import { session } from "@/lib/session";

export default async function Home() {
  const signedIn = await session();
  return <main>{signedIn ? <h1>Hello, {signedIn.user}</h1> : <Link href="/sign-in">Sign in</Link>}</main>;
}
