"""Who sends without waiting for what comes back.

echo.py serve ADDRESS       send back whatever comes by any connection, until the file "enough" is there
echo.py ask ADDRESS         send numbered lines all the time, check those that come back; to the end at "enough.asking"
echo.py capture DEVICE      a line in the file "captured" for each TCP packet that comes in there: time, flags
"""
import os
import selectors
import socket
import struct
import sys
import threading
import time


def serve(address):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    watch = selectors.DefaultSelector()
    listener = socket.create_server((address, 7777), family=family)
    watch.register(listener, selectors.EVENT_READ)
    open("parked", "w").close()
    while not os.path.exists("enough"):
        for key, _ in watch.select(0.05):
            if key.fileobj is listener:
                watch.register(listener.accept()[0], selectors.EVENT_READ)
                continue
            data = key.fileobj.recv(65536)
            if data:
                key.fileobj.sendall(data)
            else:
                watch.unregister(key.fileobj)
                key.fileobj.close()


def send_lines(peer):
    n = 0
    while not os.path.exists("enough.asking"):
        peer.sendall(b"line %d\n" % n)
        n += 1
        time.sleep(0.002)
    peer.shutdown(socket.SHUT_WR)


def ask(address):
    peer = socket.create_connection((address, 7777), 20)
    threading.Thread(target=send_lines, args=(peer,)).start()
    n = 0
    for line in peer.makefile("rb"):
        assert line == b"line %d\n" % n, (n, line)
        n += 1
        if n == 10:
            open("begun", "w").close()
    print(n)


def flags_of(frame):
    kind = struct.unpack("!H", frame[12:14])[0]
    if kind == 0x0800 and frame[23] == socket.IPPROTO_TCP:
        return frame[14 + (frame[14] & 15) * 4 + 13]
    if kind == 0x86DD and frame[20] == socket.IPPROTO_TCP:
        return frame[14 + 40 + 13]
    return None


def capture(device):
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    sock.bind((device, 0))
    with open("captured", "w") as out:
        open("captures", "w").close()
        while True:
            frame, where = sock.recvfrom(65536)
            flags = flags_of(frame)
            if where[2] != socket.PACKET_OUTGOING and flags is not None:
                print("%.6f %d" % (time.time(), flags), file=out, flush=True)


{"serve": serve, "ask": ask, "capture": capture}[sys.argv[1]](sys.argv[2])
