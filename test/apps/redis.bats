# redis that writes every change to a growing file, and all of it from a child in the background.

load lib/apps

KEYS=2000

setup() { needs redis-server redis-cli; }

cli() {
	redis-cli -s "$dir/socket" "$@"
}

answers() {
	[ "$(cli ping 2>/dev/null)" = PONG ]
}

begin() {
	start redis-server --port 0 --unixsocket "$dir/socket" --save '' --appendonly yes \
		--appendfsync everysec --rdb-key-save-delay 1000 --loglevel warning
	within 20 answers
	cli eval "for i = 1, $KEYS do redis.call('set', 'key' .. i, string.rep(i, 50)) end" 0 >/dev/null
	cli bgsave >/dev/null
	within 20 children 1
}

info() {
	cli info persistence | tr -d '\r' | grep -qx "$1"
}

# The child has saved all; more is written; a new server finds it in the file.
end() {
	within 60 info rdb_bgsave_in_progress:0 || explain "the child does not end"
	info rdb_last_bgsave_status:ok || explain "the child has failed"
	cli eval "for i = 1, $KEYS do redis.call('append', 'key' .. i, 'more') end" 0 >/dev/null
	cli shutdown >/dev/null
	finish 20
	start redis-server --port 0 --unixsocket "$dir/socket" --save '' --appendonly yes --loglevel warning
	within 20 answers
	cli debug digest-value key1 key1999 >"$dir/found" 2>/dev/null || true
	cli dbsize >>"$dir/found"
	cli get key1999 >>"$dir/found"
	cli shutdown >/dev/null
	finish 20
}

results() {
	sha256sum <"$dir/found"
	stat -c %s "$dir/dump.rdb"
}

@test "redis with a child that saves and a file that grows" {
	carry dump_and_restore_twice dump_running
}

teardown() {
	[ -z "$pid" ] || kill "$pid" 2>/dev/null || true
	zdtm_teardown
}
