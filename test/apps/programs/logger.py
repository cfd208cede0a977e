"""A daemon with growing logs: one that is rotated, one that others may append to."""
import logging.handlers
import os
import time

rotated = logging.getLogger("rotated")
rotated.addHandler(logging.handlers.RotatingFileHandler("log", maxBytes=4000, backupCount=1000))
shared = logging.getLogger("shared")
shared.addHandler(logging.FileHandler("shared"))

n = 0
while not os.path.exists("end"):
    rotated.warning("%06d %s", n, "x" * 40)
    shared.warning("%06d", n)
    n += 1
    time.sleep(0.001)
with open("out", "a") as out:
    print("total", n, file=out)
