export type { NotificationPreferencesProps } from "./grid.js";
export { NotificationPreferences } from "./grid.js";
export { useMute } from "./use-mute.js";
export type { NotificationPreferencesState } from "./use-preferences.js";
export { useNotificationPreferences } from "./use-preferences.js";
