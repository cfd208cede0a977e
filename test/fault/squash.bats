# A squash that is killed, or fails, at any system call: the checkpoint is whole at any time.
load ../zdtm/lib/zdtm
load ../zdtm/lib/chain
load lib/points

setup() {
	(umask 077 && openssl genpkey -algorithm ed25519 -out "$BATS_TEST_TMPDIR/key.pem")
}

whole() {
	crtool pack -D "$BATS_TEST_TMPDIR/work/2" --verify "$BATS_TEST_TMPDIR/key.pem" >/dev/null 2>&1
}

# Is a parent needed?
parent_needed() {
	mv "$BATS_TEST_TMPDIR/work/1" "$BATS_TEST_TMPDIR/work/away"
	if whole; then echo no; else echo yes; fi
	mv "$BATS_TEST_TMPDIR/work/away" "$BATS_TEST_TMPDIR/work/1"
}

# squash_points WHAT
squash_points() {
	local key=$BATS_TEST_TMPDIR/key.pem work=$BATS_TEST_TMPDIR/work calls n points=0 before

	park memory rw
	chain_new
	save 1 pre-dump --sign "$key"
	save 2 dump --sign "$key"
	cp -r "$chain" "$work"
	before=$(ls "$work/2")
	calls=$(count_calls squash -D "$work/2" --sign "$key")
	for ((n = 1 + FAULT_SEED % FAULT_STEP; n <= calls; n += FAULT_STEP)); do
		rm -r "$work"
		cp -r "$chain" "$work"
		interfere "$n" "$1" squash -D "$work/2" --sign "$key"
		whole || explain "$1 at $n: $(cat "$BATS_TEST_TMPDIR/said")"
		# what was killed may leave files that mean nothing; what failed leaves none, unless it was done already
		[[ $1 = KILL || $(ls "$work/2") = "$before" || $(parent_needed) = no ]] ||
			explain "$1 at $n: leaves $(ls "$work/2")"
		crtool squash -D "$work/2" --sign "$key"
		rm -r "$work/1"
		whole || explain "$1 at $n: the next one does not mend it"
		points=$((points + 1))
	done
	((points > 0))
	tell "$1: $points of $calls points, seed $FAULT_SEED"
}

@test "killed at any call, a squash leaves a checkpoint that is whole" { squash_points KILL; }
@test "a full disk at any call of a squash leaves a checkpoint that is whole" { squash_points '=ENOSPC'; }
