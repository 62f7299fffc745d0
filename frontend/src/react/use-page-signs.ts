"use client";
import { useEffect, useRef } from "react";
import type { Client } from "./context.js";
import { useNotifications } from "./hooks.js";
import { useArrivals } from "./use-arrivals.js";

const PAUSE = 1_000; // milliseconds between two sounds
const SIZE = 64; // pixels of the icon

/** The unseen number before the page's title, whatever the page makes of its title meanwhile. */
export function useTitleCount(isEnabled: boolean): void {
  const { unseenCount } = useNotifications();
  const count = isEnabled ? (unseenCount ?? 0) : 0;
  useEffect(() => {
    if (count === 0) return;
    const mark = `(${count > 99 ? "99+" : count}) `;
    const put = () => {
      if (!document.title.startsWith(mark)) document.title = mark + document.title;
    };
    put();
    const observer = new MutationObserver(put);
    observer.observe(document.head, { subtree: true, childList: true, characterData: true });
    return () => {
      observer.disconnect();
      if (document.title.startsWith(mark)) document.title = document.title.slice(mark.length);
    };
  }, [count]);
}

/** A dot on the page's icon while something is unseen. */
export function useFaviconDot(isEnabled: boolean): void {
  const { unseenCount } = useNotifications();
  const isOn = isEnabled && Boolean(unseenCount);
  useEffect(() => {
    if (!isOn) return;
    const icon = document.querySelector<HTMLLinkElement>('link[rel~="icon"]');
    const link = document.createElement("link");
    link.rel = "icon";
    const image = new Image();
    image.onload = image.onerror = () => {
      link.href = dotted(image) ?? link.href;
      if (!link.href) return;
      icon?.remove();
      document.head.append(link);
    };
    image.src = icon?.href ?? "/favicon.ico";
    return () => {
      image.onload = image.onerror = null;
      if (!link.isConnected) return;
      link.remove();
      if (icon) document.head.append(icon);
    };
  }, [isOn]);
}

/** The image with a dot, as an address; `undefined` where there is no canvas, or the image is another origin's. */
function dotted(image: HTMLImageElement): string | undefined {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = SIZE;
  const pen = canvas.getContext("2d");
  if (!pen) return undefined;
  try {
    if (image.naturalWidth > 0) pen.drawImage(image, 0, 0, SIZE, SIZE);
    pen.fillStyle = "#c1351f";
    pen.arc(SIZE * 0.72, SIZE * 0.28, SIZE * 0.26, 0, 2 * Math.PI);
    pen.fill();
    return canvas.toDataURL();
  } catch {
    return undefined;
  }
}

/**
 * A sound for what arrives: a short one of its own, or that of an address. Browsers allow none before a gesture of the
 * user, and one tab makes it: the one that has the stream. What is of low priority is silent.
 */
export function useSound(sound: boolean | string, client: Client | null): void {
  const audio = useRef<AudioContext | null>(null);
  const last = useRef(0);
  const isEnabled = sound !== false;
  useEffect(() => {
    if (!isEnabled || typeof AudioContext === "undefined") return;
    const allow = () => {
      audio.current ??= new AudioContext();
    };
    for (const gesture of ["pointerdown", "keydown"]) window.addEventListener(gesture, allow, { once: true });
    return () => {
      for (const gesture of ["pointerdown", "keydown"]) window.removeEventListener(gesture, allow);
      audio.current?.close();
      audio.current = null;
    };
  }, [isEnabled]);
  useArrivals(({ priority }) => {
    const state = client?.stream.getState();
    const isOurs = state !== undefined && "shared" in state && !state.shared;
    if (!isOurs || !audio.current || priority === "low" || Date.now() - last.current < PAUSE) return;
    last.current = Date.now();
    if (typeof sound === "string") new Audio(sound).play().catch(() => {});
    else if (sound) ring(audio.current);
  });
}

function ring(audio: AudioContext): void {
  const volume = audio.createGain();
  volume.connect(audio.destination);
  volume.gain.setValueAtTime(0.08, audio.currentTime);
  volume.gain.exponentialRampToValueAtTime(0.001, audio.currentTime + 0.5);
  for (const [index, pitch] of [880, 1320].entries()) {
    const tone = audio.createOscillator();
    tone.frequency.value = pitch;
    tone.connect(volume);
    tone.start(audio.currentTime + index * 0.12);
    tone.stop(audio.currentTime + 0.5);
  }
}
