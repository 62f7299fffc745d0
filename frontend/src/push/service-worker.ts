import { attach, type WorkerScope } from "./worker.js";

attach(self as unknown as WorkerScope);
