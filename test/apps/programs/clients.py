"""Clients of a server, without a pause: each asks, waits for the whole answer, checks it, and asks again.

clients.py KIND HOST PORT NUMBER    KIND: redis, http, memcached, postgres

Ends when the file "enough" is there, every client with its answer; prints the number of answers and
the longest time that one took. An error, a wrong answer or an end of a connection ends it at once.
"begun" is there when everybody has had an answer; "answers" is written ten times a second. "longest" has at the end,
in microseconds, the longest time, that which half of the clients had to wait at least once, and after how much of it
the system of a client asks again.
"""
import os
import re
import selectors
import socket
import struct
import sys
import time


class Redis:
    """Numbers of its own in a key of its own."""

    def __init__(self, me):
        self.me, self.n = me, 0

    def ask(self):
        self.n += 1
        return b"INCR key:%d\r\n" % self.me

    def answer(self, got):
        """Is it whole?"""
        assert got == (b":%d\r\n" % self.n)[: len(got)], got
        return got.endswith(b"\r\n")


class Memcached:
    def __init__(self, me):
        self.me, self.n = me, 0

    def ask(self):
        self.n += 1
        value = b"%d" % self.n
        return b"set key%d 0 0 %d\r\n%s\r\nget key%d\r\n" % (self.me, len(value), value, self.me)

    def answer(self, got):
        value = b"%d" % self.n
        want = b"STORED\r\nVALUE key%d 0 %d\r\n%s\r\nEND\r\n" % (self.me, len(value), value)
        assert want.startswith(got), got
        return got == want


class Http:
    """Keep-alive; the answer's body is the same each time."""

    def __init__(self, me):
        self.body = None

    def ask(self):
        return b"GET /index.html HTTP/1.1\r\nHost: here\r\n\r\n"

    def answer(self, got):
        head, end, body = got.partition(b"\r\n\r\n")
        assert b"HTTP/1.1 200".startswith(got[:12]), got
        length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
        if not end:
            return False
        assert length and len(body) <= int(length[1]), got
        if len(body) < int(length[1]):
            return False
        assert body and self.body in (None, body), body
        self.body = body
        return True


class Postgres:
    """Transactions of ten rows, with a query between; protocol 3.0, authentication "trust"."""

    def __init__(self, me):
        self.me, self.n = me, -1

    def ask(self):
        self.n += 1
        if self.n == 0:
            body = struct.pack("!I", 3 << 16) + b"user\0me\0database\0postgres\0\0"
            return struct.pack("!I", len(body) + 4) + body
        step = self.n % 12
        text = {1: "begin", 0: "commit"}.get(step, "insert into t values (1); select count(*) from t")
        body = text.encode() + b"\0"
        return b"Q" + struct.pack("!I", len(body) + 4) + body

    def answer(self, got):
        at = 0
        while len(got) >= at + 5:
            kind, size = got[at : at + 1], struct.unpack("!I", got[at + 1 : at + 5])[0]
            assert kind != b"E", got
            at += 1 + size
            if kind == b"Z" and len(got) == at:
                return True
        return False


TCP_THIN_LINEAR_TIMEOUTS = 16


def asks_again(sock):
    """After so many microseconds, TCP_INFO (tcpi_rto)."""
    return struct.unpack_from("I", sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104), 8)[0]


def tell(name, text):
    with open(name + ".new", "w") as f:
        f.write(text)
    os.rename(name + ".new", name)


def main(kind, host, port, number):
    kinds = {"redis": Redis, "http": Http, "memcached": Memcached, "postgres": Postgres}
    watch = selectors.DefaultSelector()
    answers, told, silent, enough, again = 0, 0.0, number, False, 0
    longest = {}
    for me in range(number):
        sock = socket.create_connection((host, port), 10)
        sock.settimeout(30)
        # It asks again and again after the same time, not after twice as much each time.
        sock.setsockopt(socket.IPPROTO_TCP, TCP_THIN_LINEAR_TIMEOUTS, 1)
        talk = kinds[kind](me)
        sock.sendall(talk.ask())
        watch.register(sock, selectors.EVENT_READ, [talk, b"", time.monotonic(), 0])
    while watch.get_map():
        ready = watch.select(30)
        assert ready, "no answer for 30 s"
        now = time.monotonic()
        for key, _ in ready:
            sock, state = key.fileobj, key.data
            piece = sock.recv(65536)
            assert piece, "closed"
            state[1] += piece
            if not state[0].answer(state[1]):
                continue
            answers += 1
            if state[3] == 0:
                silent -= 1
                again = max(again, asks_again(sock))
            state[3] += 1
            longest[key.fd] = max(longest.get(key.fd, 0.0), now - state[2])
            if enough:
                watch.unregister(sock)
                sock.close()
                continue
            state[1], state[2] = b"", time.monotonic()
            sock.sendall(state[0].ask())
        if now - told > 0.1:
            told = now
            tell("answers", "%d\n" % answers)
            enough = os.path.exists("enough")
            if silent == 0 and not os.path.exists("begun"):
                tell("begun", "")
    times = sorted(longest.values())
    tell("longest", "%d %d %d\n" % (times[-1] * 1000000, times[len(times) // 2] * 1000000, again))
    print("%d answers, the longest took %d ms" % (answers, times[-1] * 1000))


main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
