// The service worker of a host that trusts its cache first, for whatever its pages ask.
import { clientsClaim } from "workbox-core";
import { setDefaultHandler } from "workbox-routing";
import { CacheFirst } from "workbox-strategies";

declare const self: { skipWaiting(): void };

self.skipWaiting();
clientsClaim();
setDefaultHandler(new CacheFirst());
