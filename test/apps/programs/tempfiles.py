"""Files without a name, and processes that share them: tempfile, multiprocessing, semaphores."""
import mmap
import multiprocessing
import os
import sys
import tempfile
import time

def square(n):
    time.sleep(0.01)
    return n * n

def main():
    deleted = tempfile.TemporaryFile()
    spooled = tempfile.SpooledTemporaryFile(max_size=10)
    named = tempfile.NamedTemporaryFile(dir=".")
    semaphore = multiprocessing.Semaphore(3)
    counter = multiprocessing.Value("i", 0)
    deleted.write(b"\0" * 8192)
    deleted.flush()
    shared = mmap.mmap(deleted.fileno(), 8192)
    os.unlink(named.name)
    with multiprocessing.Pool(3) as pool:
        for i in range(30):
            numbers = pool.map(square, range(i, i + 8))
            with semaphore, counter.get_lock():
                counter.value += sum(numbers)
            shared[i] = counter.value % 251
            spooled.write(b"%d\n" % counter.value)
            named.write(b"%d\n" % i)
            print(i, counter.value, flush=True)
    deleted.seek(0)
    spooled.seek(0)
    named.seek(0)
    print(deleted.read(30).hex(), len(spooled.read()), len(named.read()), os.fstat(named.fileno()).st_nlink)

    sys.stdout.flush()
    os._exit(0)

main()
