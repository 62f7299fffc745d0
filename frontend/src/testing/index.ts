export { createFakeService } from "./fake-service.js";
export type { FakeInbox, FakeRequest, FakeService, FakeServiceOptions } from "./types.js";
