import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { NotificationBell, NotificationsProvider, SSEConnectionStatus } from "shirase/react";
import "shirase/react/styles.css";
import { SERVICE, signIn } from "./sign-in";

const user = new URL(location.href).searchParams.get("user") ?? "Aiko";
const getToken = signIn(user);

createRoot(document.getElementById("app") as HTMLElement).render(
  <StrictMode>
    <NotificationsProvider url={SERVICE} user={user} getToken={getToken}>
      <h1>Hello, {user}</h1>
      <NotificationBell />
      <SSEConnectionStatus />
    </NotificationsProvider>
  </StrictMode>,
);
