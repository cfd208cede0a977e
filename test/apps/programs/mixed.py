"""Threads, a generator, open files, a timer with a handler, and regular expressions, all at once."""
import os
import re
import signal
import threading
import time

alarms = 0
messages = []
ready = threading.Condition()


def on_alarm(signum, frame):
    global alarms
    alarms += 1


def primes():
    found = []
    number = 2
    while True:
        if all(number % p for p in found if p * p <= number):
            found.append(number)
            yield number
        number += 1


def writer(name, file, event):
    """Waits for an event, then writes what the main thread has left for it."""
    event.wait()
    file.write(f"{name} {len(messages)}\n")
    file.flush()


def counter(n):
    for i in range(n):
        with ready:
            messages.append(i)
            ready.notify()
        time.sleep(0.01)


signal.signal(signal.SIGALRM, on_alarm)
signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
event = threading.Event()
files = [open(f"thread {i}", "w+") for i in range(3)]
threads = [threading.Thread(target=writer, args=(f"thread {i}", f, event)) for i, f in enumerate(files)]
threads.append(threading.Thread(target=counter, args=(150,)))
for t in threads:
    t.start()

generator = primes()
total = 0
for i in range(150):
    with ready:
        ready.wait_for(lambda: len(messages) > i)
    total += next(generator)
    if i % 10 == 0:
        print(i, total, re.sub(r"(\d)", r"<\1>", str(total)), flush=True)
event.set()
for t in threads:
    t.join()
signal.setitimer(signal.ITIMER_REAL, 0)
assert alarms > 10, alarms
for f in files:
    f.seek(0)
    print(f.read(), end="")
print(total, next(generator), sorted(messages) == messages, os.getpid() == threading.main_thread().native_id)
