"""A checked stream over TCP that goes on for as long as the test wants.

stream.py serve ADDRESS        accept one, send numbered pieces until the file "enough" is there;
                               with STREAM_FLOOD without a pause
stream.py fetch ADDRESS        connect, read to the end, check every byte, print how many pieces
"""
import os
import socket
import sys
import time

PIECE = bytes(i * 7 & 255 for i in range(1 << 14))


def piece(n):
    return n.to_bytes(8, "big") + PIECE[8:]


def family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def serve(address):
    listener = socket.socket(family(address))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((address, 7777))
    listener.listen()
    open("parked", "w").close()
    peer, _ = listener.accept()
    open("begun", "w").close()
    n = 0
    while not os.path.exists("enough"):
        peer.sendall(piece(n))
        n += 1
        if "STREAM_FLOOD" not in os.environ:
            time.sleep(0.001)
    peer.shutdown(socket.SHUT_WR)
    assert peer.recv(1) == b""
    print(n)


def fetch(address):
    peer = socket.socket(family(address))
    peer.connect((address, 7777))
    n = 0
    while data := peer.recv(len(PIECE), socket.MSG_WAITALL):
        assert data == piece(n), n
        n += 1
    print(n)


{"serve": serve, "fetch": fetch}[sys.argv[1]](sys.argv[2])
