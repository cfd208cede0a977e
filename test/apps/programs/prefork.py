"""A master that has forked its workers before, and hands them work over socket pairs; it replaces one that dies."""
import hashlib
import os
import select
import signal
import socket
import sys


def worker(sock):
    while True:
        request = sock.recv(64)
        if not request:
            os._exit(0)
        digest = request
        for _ in range(3000):
            digest = hashlib.sha256(digest).digest()
        sock.send(request + b" " + digest.hex().encode())
        if request.endswith(b"99"):
            os._exit(1)  # its time has come


def fork_worker():
    mine, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pid = os.fork()
    if pid == 0:
        mine.close()
        for sock in workers.values():
            sock.close()
        worker(other)
    other.close()
    workers[pid] = mine
    return mine


workers, deaths, answers, todo = {}, 0, [], [b"request %d" % n for n in range(600)]
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
poll = select.epoll()
for _ in range(4):
    sock = fork_worker()
    poll.register(sock.fileno(), select.EPOLLIN)
    sock.send(todo.pop())
while len(answers) < 600:
    for fd, _ in poll.poll():
        pid, sock = next((p, s) for p, s in workers.items() if s.fileno() == fd)
        answer = sock.recv(256)
        if answer:
            answers.append(answer)
            if len(answers) % 50 == 0:
                print(len(answers), flush=True)
            if todo and not answer.split(b" ")[1].endswith(b"99"):
                sock.send(todo.pop())
            continue
        os.waitpid(pid, 0)
        deaths += 1
        poll.unregister(fd)
        workers.pop(pid).close()
        if todo:
            sock = fork_worker()
            poll.register(sock.fileno(), select.EPOLLIN)
            sock.send(todo.pop())
for pid, sock in workers.items():
    sock.close()
    os.waitpid(pid, 0)
print(deaths, hashlib.sha256(b"\n".join(sorted(answers))).hexdigest())
