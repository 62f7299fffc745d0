"""Starts a browser of each engine, with a profile of its own and no window on any screen."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import httpx

from shirase.run.processes import Child
from tests.browser.engines.remote import Http, Marionette, Remote
from tests.browser.engines.tabs import Engine, SetOffline, Tab
from tests.support.loop_thread import wait_until
from tests.support.stack import free_ports

STARTED = 30.0
CHROMIUM, CHROMIUM_DRIVER = "/usr/bin/chromium", "/usr/bin/chromedriver"
FIREFOX = "/usr/bin/firefox-esr"
WEBKIT_DRIVER, XVFB = "/usr/bin/WebKitWebDriver", "/usr/bin/Xvfb"
MINI_BROWSER = "/usr/lib/*/webkit2gtk-4.1/MiniBrowser"
NEEDED = {
    "chromium": (CHROMIUM, CHROMIUM_DRIVER),
    "firefox": (FIREFOX,),
    "webkit": (WEBKIT_DRIVER, XVFB, MINI_BROWSER),
}
FIREFOX_FLAGS = ("--marionette", "--remote-allow-system-access", "--headless", "--no-remote", "--profile")
FIREFOX_SETTINGS = {
    "app.update.enabled": "false",
    "browser.shell.checkDefaultBrowser": "false",
    "datareporting.policy.dataSubmissionEnabled": "false",
    "marionette.port": "0",  # it chooses one, and writes it into its profile
    "network.captive-portal-service.enabled": "false",
    "network.connectivity-service.enabled": "false",
    "network.disable-localhost-when-offline": "true",
    "network.manage-offline-status": "false",  # a test decides when it is offline
}
# WebKit's driver cannot cut the network, but a page can receive what it would then.
REPORT = """
    Object.defineProperty(navigator, "onLine", { configurable: true, value: !arguments[0] });
    dispatchEvent(new Event(arguments[0] ? "offline" : "online"));
"""


def missing(name: str) -> str:
    """What an engine needs and this machine does not have."""
    return ", ".join(path for path in NEEDED[name] if not located(path))


def located(path: str) -> str:
    """The first file that a pattern matches, or nothing."""
    return next((str(file) for file in Path("/").glob(path.lstrip("/"))), "")


@contextmanager
def running(name: str, directory: Path, settings: Mapping[str, str] | None = None) -> Iterator[Engine]:
    """Run a browser until the end of the block, with all its files in ``directory``; ``settings`` are Firefox's."""
    with ExitStack() as stack:
        processes = Processes(stack, directory)
        starts = {"chromium": _chromium, "firefox": _firefox, "webkit": _webkit}
        remote, set_offline = starts[name](processes, directory, settings or {})
        stack.callback(remote.close)
        yield Engine(remote, set_offline)


class Processes:
    """The processes of one browser, which end with it."""

    def __init__(self, stack: ExitStack, directory: Path) -> None:
        self._stack = stack
        self._log = directory / "log"
        self._home = directory

    def start(self, *command: str, files: tuple[int, ...] = (), display: str = "") -> None:
        environ = {**os.environ, "HOME": str(self._home), "XDG_RUNTIME_DIR": str(self._home), "DISPLAY": display}
        child = Child(command[0], list(command), environ, f"{self._home}-{Path(command[0]).name}", files)
        self._stack.callback(child.kill)
        with self._log.open("ab") as log:
            child.start(log)

    def driver(self, program: str, display: str = "") -> str:
        """Start a driver and return its address."""
        (port,) = free_ports(1)
        self.start(program, f"--port={port}", display=display)
        address = f"http://127.0.0.1:{port}"
        self.wait(lambda: _is_ready(address))
        return address

    def wait(self, condition: Callable[[], bool]) -> None:
        wait_until(condition, STARTED, lambda: self._log.read_text(errors="replace"))


def _is_ready(address: str) -> bool:
    with suppress(httpx.TransportError):
        return bool(httpx.get(f"{address}/status").json()["value"]["ready"])
    return False


def _chromium(processes: Processes, directory: Path, _: Mapping[str, str]) -> tuple[Remote, SetOffline]:
    arguments = ["--headless", "--no-sandbox", f"--user-data-dir={directory / 'profile'}"]
    options = {"binary": CHROMIUM, "args": arguments}
    remote = Http(processes.driver(CHROMIUM_DRIVER), {"goog:chromeOptions": options})

    def set_offline(tab: Tab, offline: bool) -> None:  # noqa: FBT001 - SetOffline
        tab.run("")  # the command concerns the current tab
        conditions = {"offline": offline, "latency": 0, "throughput": -1}
        remote.send("POST", "chromium/network_conditions", {"network_conditions": conditions})

    return remote, set_offline


def _firefox(processes: Processes, directory: Path, settings: Mapping[str, str]) -> tuple[Remote, SetOffline]:
    profile = directory / "profile"
    profile.mkdir()
    lines = (f'user_pref("{name}", {value});\n' for name, value in {**FIREFOX_SETTINGS, **settings}.items())
    (profile / "user.js").write_text("".join(lines))
    processes.start(FIREFOX, *FIREFOX_FLAGS, str(profile))
    port = profile / "MarionetteActivePort"
    processes.wait(lambda: port.exists() and port.read_text().isdigit())
    remote = Marionette(int(port.read_text()))

    def set_offline(_: Tab, offline: bool) -> None:  # noqa: FBT001 - SetOffline
        remote.in_firefox("Services.io.offline = arguments[0]", offline)

    return remote, set_offline


def _webkit(processes: Processes, directory: Path, _: Mapping[str, str]) -> tuple[Remote, SetOffline]:
    number = directory / "display"
    with number.open("w") as file:
        descriptor = file.fileno()
        processes.start(
            *(XVFB, "-displayfd", str(descriptor), "-screen", "0", "1280x1024x24", "-nolisten", "tcp"),
            files=(descriptor,),
        )
    processes.wait(lambda: number.read_text().endswith("\n"))
    driver = processes.driver(WEBKIT_DRIVER, f":{number.read_text().strip()}")
    options = {"binary": located(MINI_BROWSER), "args": ["--automation"]}
    return Http(driver, {"webkitgtk:browserOptions": options}), lambda tab, offline: tab.run(REPORT, offline)
