load lib/apps

# The server as a whole: its auxiliary processes, SysV shared memory, semaphores and a listener.
setup() {
	PATH=$PATH:$(echo /usr/lib/postgresql/*/bin)
	needs initdb postgres psql
	export PGHOST=127.0.0.1 PGUSER=me PGDATABASE=postgres PGCONNECT_TIMEOUT=5
	PGPORT=$((20000 + $$ % 10000))
	export PGPORT
}

teardown() {
	zdtm_teardown
	[ ! -s "$dir/shmid" ] || ipcrm -m "$(cat "$dir/shmid")" 2>/dev/null || true
}

# It refuses to be root.
as_nobody() {
	setpriv --reuid=65534 --regid=65534 --clear-groups "$@"
}

answers() {
	[ "$(psql -qAt -c 'select 1' 2>/dev/null)" = 1 ]
}

# Its children fall to init when it is killed: it is not in a hurry to reap them.
all_gone() {
	local child

	for child in $family; do
		gone "$child" || return 1
	done
}

@test "postgres goes on with its data between two transactions" {
	fresh_dir
	as_nobody env HOME="$dir" initdb -D "$dir/data" --no-sync -A trust -U me >/dev/null
	start setpriv --reuid=65534 --regid=65534 --clear-groups postgres -D "$dir/data" -k '' \
		-h 127.0.0.1 -p "$PGPORT" -c shared_memory_type=sysv -c shared_buffers=4MB
	within 20 answers
	ipcs -m | awk '$3 == "nobody" && $2 > id { id = $2 } END { print id }' >"$dir/shmid"
	psql -q -c 'create table t(i int); insert into t select generate_series(1, 1000)'
	for way in 1 2; do
		within 20 children 5
		family="$pid $(cat "/proc/$pid/task/$pid/children")"
		dump
		within 20 all_gone
		crtool restore -d -D "$to"
		within 10 answers
		psql -q -c "insert into t values ($way)"
	done
	[ "$(psql -qAt -c 'select sum(i) from t')" = 500503 ]
	kill -INT "$pid"
	finish 20
	grep -q 'database system is shut down' "$dir/err"
}
