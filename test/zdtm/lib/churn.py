"""Short connections, one after the other.

churn.py serve ADDRESS       answer each with what it sent, until the file "enough" is there
churn.py deaf ADDRESS        listen, and accept nothing before the file "enough" is there
churn.py ask ADDRESS         connect, ask, check the answer, again and again until "enough.asking"; print how often
churn.py wait ADDRESS        connect once, and read until the end
churn.py both ADDRESS        serve and ask in one process
"""
import os
import socket
import sys
import threading
import time

address = sys.argv[2]


def listen():
    listener = socket.create_server((address, 7777), family=family(), backlog=64, dualstack_ipv6=address == "::")
    listener.settimeout(0.05)
    open("parked", "w").close()
    return listener


def family():
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def serve():
    listener = listen()
    while not os.path.exists("enough"):
        try:
            peer, _ = listener.accept()
        except TimeoutError:
            continue
        peer.settimeout(20)
        peer.sendall(peer.recv(100))
        peer.close()


def deaf():
    listener = listen()
    while not os.path.exists("enough"):
        time.sleep(0.02)
    listener.settimeout(20)
    peer, _ = listener.accept()
    peer.sendall(b"at last")


def ask():
    n = 0
    while not os.path.exists("enough.asking"):
        peer = socket.create_connection((address, 7777), 20)
        peer.sendall(b"%d" % n)
        assert peer.recv(100) == b"%d" % n, n
        peer.close()
        n += 1
        if n == 10:
            open("begun", "w").close()
    print(n)


def wait():
    peer = socket.create_connection((address, 7777), 20)
    open("begun", "w").close()
    print(peer.recv(100).decode())


def both():
    server = threading.Thread(target=serve)
    server.start()
    while not os.path.exists("parked"):
        time.sleep(0.02)
    ask()
    open("enough", "w").close()
    server.join()


globals()[sys.argv[1]]()
