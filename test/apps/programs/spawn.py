"""Starts programs one after the other, all the time: whenever one looks, something is being forked, executed or reaped."""
import subprocess
import sys

for n in range(int(sys.argv[1])):
    done = subprocess.run(["sh", "-c", "echo $0 | cat; exit 3", str(n)], stdout=subprocess.PIPE)
    assert done.stdout == b"%d\n" % n and done.returncode == 3, done
    if n % 50 == 0:
        print(n, flush=True)
