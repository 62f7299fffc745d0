import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

const SERVICE = "http://127.0.0.1:7999"; // `make up` runs it there

export default defineConfig({
  plugins: [react()],
  // `file:../..` is a link, and next to where it leads there is another React: the hooks need one for all.
  resolve: { dedupe: ["react", "react-dom"] },
  server: { proxy: { "/api": SERVICE, "/demo": SERVICE } },
});
