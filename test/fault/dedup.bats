# Parents that are thinned by somebody who is killed, or fails, at any system call: the last increment is whole at any time.
load ../zdtm/lib/zdtm
load ../zdtm/lib/chain
load lib/points

setup() {
	fewer 4
}

# Byte by byte what the tree has, which stands still, and all checksums are right.
whole() {
	"$BUILD/test/tools/compare" "$work/3" "$pid" >/dev/null 2>&1 &&
		crtool pack -D "$work/3" --verify "$key" >/dev/null 2>&1
}

# Bytes that all of them take.
taken() {
	du -sB1 --exclude 'manifest*' "$work" | cut -f 1
}

# thin_points WHAT
thin_points() {
	local calls n points=0 least

	key=$BATS_TEST_TMPDIR/key.pem work=$BATS_TEST_TMPDIR/work
	(umask 077 && openssl genpkey -algorithm ed25519 -out "$key")
	park track quiet
	chain_new
	for n in 1 2 3; do
		save "$n" dump -s --track-mem --sign "$key"
		((n == 3)) || go_on
	done
	cp -r --sparse=never "$chain" "$work"
	calls=$(count_calls dedup -D "$work/3" --sign "$key")
	least=$(taken)
	for ((n = 1 + FAULT_SEED % FAULT_STEP; n <= calls; n += FAULT_STEP)); do
		rm -r "$work"
		cp -r --sparse=never "$chain" "$work"
		interfere "$n" "$1" dedup -D "$work/3" --sign "$key"
		whole || explain "$1 at $n: $(cat "$BATS_TEST_TMPDIR/said")"
		crtool dedup -D "$work/3" --sign "$key"
		whole || explain "$1 at $n: the next one does not mend it"
		[ "$(taken)" = "$least" ] || explain "$1 at $n: the next one does not finish it"
		points=$((points + 1))
	done
	((points > 0))
	tell "$1: $points of $calls points, seed $FAULT_SEED"
	kill -KILL -- "-$pid"
}

@test "killed at any call, who thins parents leaves the last increment whole" { thin_points KILL; }
@test "a full disk at any call leaves it whole" { thin_points '=ENOSPC'; }
@test "a disk that fails at any call leaves it whole" { thin_points '=EIO'; }
