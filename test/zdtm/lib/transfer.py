"""One large transfer over TCP, as scp(1) does it.

transfer.py serve ADDRESS MIB     send so many MiB, the k-th tenth when the file "go.k" is there,
                                  and close at "go.11"; print their checksum
transfer.py fetch ADDRESS         read to the end, print the checksum
"""
import hashlib
import os
import socket
import sys
import time

address = sys.argv[2]


def blocks(mib):
    """Each is another one."""
    base = bytearray(os.urandom(1 << 20))
    for n in range(mib):
        base[n % 1000 * 1000 : n % 1000 * 1000 + 8] = os.urandom(8)
        yield n, base


def serve(mib):
    listener = socket.create_server((address, 7777))
    open("parked", "w").close()
    peer, _ = listener.accept()
    digest = hashlib.sha256()
    for n, block in blocks(mib):
        while not os.path.exists("go.%d" % (n * 10 // mib + 1)):
            time.sleep(0.002)
        digest.update(block)
        peer.sendall(block)
    while not os.path.exists("go.11"):
        time.sleep(0.002)
    peer.close()
    print(digest.hexdigest())


def fetch():
    peer = socket.create_connection((address, 7777))
    digest = hashlib.sha256()
    while data := peer.recv(1 << 16):
        digest.update(data)
    print(digest.hexdigest())


if sys.argv[1] == "serve":
    serve(int(sys.argv[3]))
else:
    fetch()
