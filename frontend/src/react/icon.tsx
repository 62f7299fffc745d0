import type { ReactNode } from "react";

const SHAPES = {
  bell: "M6 9.5a6 6 0 0 1 12 0c0 5 2 6.5 2 6.5H4s2-1.5 2-6.5M10 19.5a2.1 2.1 0 0 0 4 0",
  mute: "M6 9.5a6 6 0 0 1 12 0c0 5 2 6.5 2 6.5H4s2-1.5 2-6.5M10 19.5a2.1 2.1 0 0 0 4 0M4 4l16 16",
  archive: "M4 5h16v4H4zM5.5 9v10.5h13V9M10 13h4",
  inbox: "M4 13.5 6.5 5h11l2.5 8.5v6H4zM4 13.5h4.5l1.5 2.5h4l1.5-2.5H20",
  dot: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8",
  cross: "m6 6 12 12M18 6 6 18",
  bin: "M5 7h14M10 7V4.5h4V7M7 7l.8 12.5h8.4L17 7M10.5 11v5M13.5 11v5",
  check: "m5 12.5 4.5 4.5L19 7.5",
};

/** A picture in the colour of the text around it, and nothing to a screen reader. */
export function Icon({ of }: { of: keyof typeof SHAPES }): ReactNode {
  return (
    <svg className="shirase-icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      <path d={SHAPES[of]} />
    </svg>
  );
}
