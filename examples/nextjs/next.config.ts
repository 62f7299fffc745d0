import type { NextConfig } from "next";

const SERVICE = process.env.SHIRASE_URL ?? "http://127.0.0.1:7999"; // `make up` runs it there

const config: NextConfig = {
  // With an empty NEXT_PUBLIC_API_URL the browser asks this origin, which passes it on: one origin, one cookie.
  rewrites: async () => [{ source: "/api/:path*", destination: `${SERVICE}/api/:path*` }],
  compress: false, // which would hold events back until a buffer is full; leave it to what stands in front
  experimental: { proxyTimeout: 120_000 }, // milliseconds of silence; a stream has a heartbeat every 30 seconds
};

export default config;
