"""Arrays in files: one with a name, one that was deleted while it is mapped."""
import os
import time

import numpy

kept = numpy.memmap("kept", dtype="float64", mode="w+", shape=(1000, 1000))
gone = numpy.memmap("gone", dtype="int64", mode="w+", shape=(1 << 18,))
os.unlink("gone")
for i in range(40):
    kept[i] = numpy.sqrt(numpy.arange(1000) + i)
    gone += numpy.arange(1 << 18) % (i + 7)
    print(i, float(kept.sum()), int(gone.sum()), flush=True)
    time.sleep(0.03)
kept.flush()
os.unlink("kept")
