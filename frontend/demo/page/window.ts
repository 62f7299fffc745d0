/** Whether there is room to show at once what a phone shows on demand. Decided once, when the page is opened. */
export const isWide = matchMedia("(min-width: 44rem)").matches;
