"""sqlite3, in a transaction that stays open until there is a file "enough": it holds POSIX locks and a journal."""
import os
import sqlite3
import sys
import time

db = sqlite3.connect("ledger.db", isolation_level=None)
db.execute(f"pragma journal_mode={sys.argv[1]}")
db.execute("pragma cache_size=10")  # so that it writes before it commits
db.execute("create table entries (n integer primary key, text)")
db.execute("begin immediate")
for n in range(4000):
    db.execute("insert into entries values (?, ?)", (n, "x" * (n % 300)))
    if n % 100 == 99:
        print(n, flush=True)
        time.sleep(0.01)
    while n == 2000 and not os.path.exists("enough"):
        time.sleep(0.01)
db.execute("commit")
print(db.execute("select count(*), sum(n), sum(length(text)) from entries").fetchone())
print(db.execute("pragma integrity_check").fetchone())
