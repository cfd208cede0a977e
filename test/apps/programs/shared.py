"""Processes that share memory, values, locks and a queue, each as multiprocessing has them."""
import multiprocessing as mp
import sys
from multiprocessing import shared_memory

ROUNDS = 2000


def worker(number, name, total, limit, results):
    memory = shared_memory.SharedMemory(name=name)
    for i in range(ROUNDS):
        with limit:
            for k in range(number, 4000, 4):
                memory.buf[k] = (memory.buf[k] + k + i) % 251
            with total.get_lock():
                total.value += number
    memory.close()
    results.put((number, i))


def main():
    mp.set_start_method("fork")
    memory = shared_memory.SharedMemory(create=True, size=1 << 20)
    total, limit, results = mp.Value("q", 0), mp.BoundedSemaphore(3), mp.SimpleQueue()
    workers = [mp.Process(target=worker, args=(n, memory.name, total, limit, results)) for n in range(4)]
    for process in workers:
        process.start()
    print("begun", flush=True)
    done = sorted(results.get() for _ in workers)
    for process in workers:
        process.join()
    print(done, total.value, sum(memory.buf[:4000]), [p.exitcode for p in workers], flush=True)
    memory.close()
    memory.unlink()


main()
