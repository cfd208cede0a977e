"""A server of names over UDP, and who asks it: names.py serve ADDRESS... | ask ADDRESS... | connect ADDRESS...

Whoever asks asks again when no answer comes, as resolvers do. It ends when there is
a file "enough", says how many answers it got, and fails if one was wrong. Who is connected
is told when nobody is there, and fails, too.
"""

import hashlib
import os
import select
import socket
import sys
import time

PORT = 5300


def family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def answer(query):
    return query + b" " + hashlib.md5(query).hexdigest().encode()


def serve(addresses):
    poll = select.epoll()
    sockets = {}
    for address in addresses:
        s = socket.socket(family(address), socket.SOCK_DGRAM)
        s.bind((address, PORT))
        sockets[s.fileno()] = s
        poll.register(s, select.EPOLLIN)
    open("parked", "w").close()
    while True:
        for fd, _ in poll.poll():
            query, sender = sockets[fd].recvfrom(512)
            sockets[fd].sendto(answer(query), sender)


def connect(addresses):
    ask(addresses, connected=True)


def ask(addresses, connected=False):
    asked = {}
    for address in addresses:
        s = socket.socket(family(address), socket.SOCK_DGRAM)
        if connected:
            s.connect((address, PORT))
        s.settimeout(0.05)
        asked[s] = address
    n = 0
    while not os.path.exists("enough"):
        for s, address in asked.items():
            query = b"%d.example" % n
            until = time.monotonic() + 30
            while True:
                if connected:
                    s.send(query)
                else:
                    s.sendto(query, (address, PORT))
                try:
                    got = s.recv(512)
                except socket.timeout:
                    if time.monotonic() > until:
                        sys.exit("no answer to %s" % query.decode())
                    continue
                if got == answer(query):
                    break
                # Of a question that was asked twice.
                if got.split()[0] == query or got != answer(got.split()[0]):
                    sys.exit("wrong: %s" % got)
            n += 1
        with open("asked.new", "w") as f:
            f.write("%d\n" % n)
        os.rename("asked.new", "asked")
    print(n)


{"serve": serve, "ask": ask, "connect": connect}[sys.argv[1]](sys.argv[2:])
