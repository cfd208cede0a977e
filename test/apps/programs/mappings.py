"""Five thousand mappings: arrays in pages of files, private and shared, and in anonymous memory, as large programs have."""
import mmap
import time

import numpy

PAGE = mmap.PAGESIZE
COUNT = 5000

with open("file", "w+b") as file:
    file.truncate(4 * COUNT * PAGE)
    arrays = []
    for i in range(COUNT):
        flags = mmap.MAP_PRIVATE if i % 3 else mmap.MAP_SHARED
        protection = mmap.PROT_READ | mmap.PROT_WRITE
        if i % 5 == 4:  # neighbours that cannot become one
            memory = mmap.mmap(-1, PAGE, mmap.MAP_SHARED | mmap.MAP_ANONYMOUS, protection)
        else:
            memory = mmap.mmap(file.fileno(), PAGE, flags, protection, offset=4 * i * PAGE)
        arrays.append(numpy.frombuffer(memory, dtype="int64"))
with open("/proc/self/maps") as maps:
    assert sum(1 for line in maps) >= COUNT

for i in range(80):
    for n in range(i, COUNT, 10):
        arrays[n][:] += n * i + 1
    print(i, int(sum(int(a[7]) for a in arrays)), flush=True)
    time.sleep(0.05)
