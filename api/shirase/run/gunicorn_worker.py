"""The worker that runs the handlers: gunicorn's own with threads, whose threads fetch their requests themselves.

Gunicorn's main thread does four things for each request, one request after the other: it accepts, hands over to a
pool, waits for the end of the work, and waits until the client has closed. That took as long as some handlers, and
delayed all of them. Here each thread accepts, answers and closes. The main thread reports that the worker lives,
collects requests that arrive slowly, and discards bytes that follow an early response.
"""

import os
import select
import socket
import time
from functools import partial
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any

from gunicorn.workers.gthread import TConn, ThreadWorker

from shirase.run.arrivals import Arrival, Input, Shares, is_whole
from shirase.settings import request_timeout
from shirase.web.arrival import StillArriving

CHECK = 1.0  # seconds between two checks for late requests
LINGER = 2.0  # seconds that a client may go on sending after an early response
FAILED = 0.1  # seconds until the next attempt, if no file is left for a connection


class DeadlineWorker(ThreadWorker):  # type: ignore[misc]
    """No thread waits for a request, and no request may take longer than ``REQUEST_TIMEOUT`` to arrive.

    The proxy passes on a body of more than some kilobytes while it still arrives. So a few uploads of a byte a second
    would occupy all threads of all workers. Here a request begins when its head has arrived, so a refusal by path,
    method or caller comes at once. If the body is needed and has not arrived, the thread turns to another request, the
    main thread collects the body, and then the request begins again.
    """

    alive: bool  # gunicorn's own: false once the worker must end

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Begin without requests."""
        super().__init__(*args, **kwargs)
        self._shares = Shares()
        self._parked: dict[int, Arrival] = {}  # by file number
        self._arrived: SimpleQueue[Arrival] = SimpleQueue()

    def run(self) -> None:
        """Answer until the end is requested, then answer what was accepted, within ``graceful_timeout``."""
        self._patience = request_timeout(os.environ)  # seconds
        self._collecting = select.epoll()
        self._collecting.register(self.PIPE[0], select.EPOLLIN)
        self._signal = os.eventfd(0, os.EFD_SEMAPHORE | os.EFD_NONBLOCK)
        ended, end = socket.socketpair()
        threads = [Thread(target=self._serve, args=(ended,), daemon=True) for _ in range(self.cfg.threads)]
        for thread in threads:
            thread.start()
        while self.alive and self.is_parent_alive():
            self.notify()
            self._collect()
            if not all(thread.is_alive() for thread in threads):
                # The cause, such as SystemExit in the application, will end the other threads too.
                self.log.critical("a thread has ended: this worker gives way to a new one")
                break
        self.alive = False
        end.close()  # wakes all threads that wait for requests
        last = time.monotonic() + self.cfg.graceful_timeout  # less than the master waits
        for thread in threads:
            thread.join(max(0.0, last - time.monotonic()))
        while (self._parked or not self._arrived.empty()) and time.monotonic() < last:
            self._collect()
            self._answer_next()

    def _serve(self, ended: socket.socket) -> None:
        """One thread: accept, answer, close."""
        with select.epoll() as waiting:
            waiting.register(ended, select.EPOLLIN)
            # Each connection wakes one of the waiting threads of all workers.
            for listener in self.sockets:
                waiting.register(listener, select.EPOLLIN | select.EPOLLEXCLUSIVE)
            waiting.register(self._signal, select.EPOLLIN | select.EPOLLEXCLUSIVE)
            listeners = {listener.fileno(): listener for listener in self.sockets}
            while self.alive:
                for number, _ in waiting.poll():
                    # Even if the worker is ending: the kernel woke no other thread for this connection.
                    if number in listeners:
                        self._accept(listeners[number])
                    elif self.alive and number == self._signal:
                        self._answer_next()

    def _accept(self, listener: Any) -> None:
        try:
            sock, client = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return  # another thread was quicker, or the client has gone
        except OSError:
            self.log.exception("a connection could not be accepted")
            time.sleep(FAILED)
            return
        conn = TConn(self.cfg, sock, client, listener.getsockname())
        conn.data_ready = True  # or it is parked
        self._answer(Arrival(conn, sock, time.monotonic() + self._patience))

    def _answer_next(self) -> None:
        """Answer a request that has arrived, unless another thread was quicker."""
        try:
            os.eventfd_read(self._signal)
            arrival = self._arrived.get_nowait()
        except (BlockingIOError, Empty):
            return
        self._answer(arrival)

    def _answer(self, arrival: Arrival) -> None:
        conn: Any = arrival.conn
        source = Input(arrival, partial(self._shares.claim, arrival))
        try:
            conn.initialized, conn.parser = False, None
            conn.init()
            conn.parser.unreader = source
            self.handle(conn)
        except StillArriving:
            arrival.park(bytes(source.arrived))
            self._collecting.register(arrival.sock, select.EPOLLIN)
            self._parked[arrival.sock.fileno()] = arrival
            return
        except Exception:
            self.log.exception("a request could not be answered")
        self._shares.release(arrival)
        self._close(arrival, bytes(source.arrived))

    def _close(self, arrival: Arrival, arrived: bytes) -> None:
        """Close now, or once the client has: what it still sends would otherwise cut the response (RFC 9112, 9.6).

        The other half of the connection stays open too. Pushpin 1.41 answers 502 if its end comes with an early
        response, or with one to HEAD, and may die of it (docs/pushpin.md).
        """
        if is_whole(arrived) and not arrived.startswith(b"HEAD "):
            arrival.sock.close()
            return
        arrival.leave(time.monotonic() + LINGER)
        self._collecting.register(arrival.sock, select.EPOLLIN)
        self._parked[arrival.sock.fileno()] = arrival

    def _collect(self) -> None:
        """Read the available bytes of parked requests, and have complete and late ones answered."""
        for number, _ in self._collecting.poll(CHECK):
            if number == self.PIPE[0]:  # a signal
                os.read(number, 4096)
            elif (arrival := self._parked.get(number)) and arrival.read():
                self._resume(number, arrival)
        now = time.monotonic()
        for number, arrival in list(self._parked.items()):
            if arrival.until < now:
                arrival.late = True
                self._resume(number, arrival)

    def _resume(self, number: int, arrival: Arrival) -> None:
        self._collecting.unregister(number)
        del self._parked[number]
        if arrival.answered:
            arrival.sock.close()
            return
        self._arrived.put(arrival)
        os.eventfd_write(self._signal, 1)
