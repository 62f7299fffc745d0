"""Runs Apprise in a process of its own, which has none of the service's secrets and can be killed when it hangs."""

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Mapping, Sequence

COMMAND = (sys.executable, "-P", "-m", "shirase.relay.apprise.worker")
PASSED_ON = ("PATH", "LANG", "LC_ALL", "TZ", "PYTHONPATH")  # of the environment, in which secrets are
START = 60.0  # seconds until the plugins are loaded
TIMEOUT = 15.0  # seconds for messages that are sent together
LATE = "the service did not answer in time"
ENDED = "Apprise broke off"
UNANSWERED = (LATE, ENDED)


class AppriseProcess:
    """Sends messages by Apprise. Not for several threads."""

    def __init__(self, private_hosts: Collection[str], timeout: float = TIMEOUT) -> None:
        """Prepare, without starting anything.

        Args:
            private_hosts: hosts that may be in the private network.
            timeout: seconds for messages that are sent together.
        """
        self._private_hosts = sorted(private_hosts)
        self._timeout = timeout
        self._process: subprocess.Popen[bytes] | None = None
        self._read = b""

    def send(self, messages: Sequence[Mapping[str, str]]) -> Iterator[tuple[int, dict[str, str]]]:
        """Send messages at once; yields the index of each with its answer, as soon as it is known.

        An answer is empty, or has the reason as ``failed`` or, if repeating it is of no use, as ``refused``. When the
        time is over the process is killed, with whatever is still being sent.
        """
        waiting = set(range(len(messages)))
        reason = LATE
        try:
            process = self._started()
            self._write(process, *({"id": number, **message} for number, message in enumerate(messages)))
            until = time.monotonic() + self._timeout
            while waiting:
                answer = self._line(process, until)
                number = int(answer.pop("id"))
                waiting.remove(number)
                yield number, answer
        except TimeoutError:
            pass
        except (OSError, EOFError, ValueError):
            reason = ENDED
        finally:
            if waiting:
                self.stop()
        for number in sorted(waiting):
            yield number, {"failed": reason}

    def stop(self) -> None:
        """Kill the process, if there is one."""
        process, self._process = self._process, None
        if process:
            process.kill()
            process.communicate()

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self.stop()
            self._read = b""
            self._process = subprocess.Popen(  # noqa: S603 - the command is our own
                COMMAND,
                env=_environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,  # Apprise logs addresses
                cwd="/",
                start_new_session=True,  # a Ctrl-C in the terminal is for the relay
            )
            self._write(self._process, {"private_hosts": self._private_hosts})
            self._line(self._process, time.monotonic() + START)
        return self._process

    @staticmethod
    def _write(process: subprocess.Popen[bytes], *lines: object) -> None:
        assert process.stdin  # noqa: S101 - a pipe
        process.stdin.write(b"".join(json.dumps(line).encode() + b"\n" for line in lines))
        process.stdin.flush()

    def _line(self, process: subprocess.Popen[bytes], until: float) -> dict[str, str]:
        assert process.stdout  # noqa: S101 - a pipe
        poll = select.poll()
        poll.register(process.stdout, select.POLLIN)
        while b"\n" not in self._read:
            left = until - time.monotonic()
            if left <= 0 or not poll.poll(left * 1000):
                raise TimeoutError
            part = os.read(process.stdout.fileno(), 65_536)
            if not part:
                raise EOFError
            self._read += part
        line, _, self._read = self._read.partition(b"\n")
        answer: dict[str, str] = json.loads(line)
        return answer


def _environment() -> dict[str, str]:
    environ = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    if authorities := os.environ.get("SSL_CERT_FILE"):
        environ["REQUESTS_CA_BUNDLE"] = authorities
    return environ | {"HOME": "/nonexistent", "NETRC": os.devnull, "NO_PROXY": "*", "PYTHONDONTWRITEBYTECODE": "1"}
