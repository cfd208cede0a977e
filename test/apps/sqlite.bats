load lib/apps

# The transaction of ledger.py.
end() {
	touch "$dir/enough"
	finish 100
}

# Nobody else can write while the transaction is open.
is_locked() {
	run python3 -c 'import sqlite3, sys
sqlite3.connect(sys.argv[1], timeout=0).execute("begin immediate")' "$dir/ledger.db"
	[[ $output == *"database is locked"* ]]
}

dump_and_restore_locked() {
	is_locked
	dump_and_restore
	is_locked || explain "the lock is gone"
}

@test "sqlite: an open transaction with a journal, its locks, and its end" {
	begin() {
		start python3 "$PROGRAMS/ledger.py" delete
		within 20 lines out 5
	}
	carry dump_and_restore_locked dump_running
}

@test "sqlite: an open transaction with a write-ahead log in shared memory" {
	begin() {
		start python3 "$PROGRAMS/ledger.py" wal
		within 20 lines out 5
	}
	carry dump_and_restore_locked dump_running
}

@test "sqlite: the command line tool in the middle of a query" {
	needs sqlite3
	begin() {
		start sqlite3 -batch lots.db "create table t(a, b);
			insert into t with recursive c(n) as (select 1 union all select n + 1 from c where n < 1000000)
				select n, n * 7 % 1000 from c;
			select 'inserted';
			select b, count(*), sum(a) from t group by b order by 3 desc limit 20;"
		within 20 compgen -G "$dir/lots.db-journal" >/dev/null
	}
	carry dump_and_restore dump_running
}
