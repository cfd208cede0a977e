# --dedup, crtool dedup: parents lose what the last increment has no use for.
load lib/zdtm
load lib/chain
load ../fault/lib/refuse

teardown() {
	umount "$BATS_TEST_TMPDIR/mnt" 2>/dev/null || :
	zdtm_teardown
}

key() {
	(umask 077 && openssl genpkey -algorithm ed25519 -out "$BATS_TEST_TMPDIR/key.pem")
	echo "$BATS_TEST_TMPDIR/key.pem"
}

# KiB that the pages of a checkpoint take on the disk.
taken() {
	du -kc "$chain/$1"/pages-*.img | tail -1 | cut -f 1
}

# Byte by byte what it was, and all its checksums are right.
whole() {
	same
	crtool pack -D "$chain/$last" "$@" >/dev/null
}

# Is the tree ended, and does the last one bring it back?
restored() {
	kill -KILL -- "-$pid"
	within 5 gone "$pid"
	crtool restore -d -D "$chain/$last" "$@"
	release
}

# refused N: it is not what it was any more.
thinned() {
	says 6 "checkpoint $chain/$1: pages that an increment of it has, too, were removed (--dedup): it is only good for that; give the last increment" \
		crtool restore -d -D "$chain/$1"
}

@test "a chain of five that is thinned with each dump" {
	local before

	park track
	chain_new
	save 1 dump -s --track-mem --dedup
	before=$(taken 1)
	for n in 2 3 4; do
		go_on
		save "$n" pre-dump --dedup
	done
	save 5 dump -s --track-mem --auto-dedup
	whole
	(($(taken 1) < before))
	for n in 1 2 3 4; do
		thinned "$n"
	done
	crtool show -D "$chain/1" >/dev/null
	restored
}

@test "what the last one has, the first one has no more, and all together is one" {
	park track quiet
	chain_new
	save 1 dump -s --track-mem
	go_on
	save 2 dump -s
	before=$(taken 1)
	run -0 crtool dedup -D "$chain/2" -v
	[[ $output =~ ^"crtool: $chain/2: "([0-9]+)" bytes were freed in its 1 parents"$ ]]
	((BASH_REMATCH[1] == (before - $(taken 1)) * 1024))
	whole
	# done again, nothing changes
	run -0 crtool dedup -D "$chain/2" --json
	[ "$(jq .facts.freed <<<"$output")" = 0 ]
	whole
	# nothing is there twice: both together are what one alone would be
	last=''
	save 3 dump -s
	(($(taken 1) + $(taken 2) <= $(taken 3) * 21 / 20))
	last=2
	restored
}

@test "nobody goes on from what was thinned" {
	park memory rw
	chain_new
	save 1 pre-dump
	save 2 pre-dump --dedup
	thinned 1
	last=1
	run ! save 3 pre-dump
	[[ $output == *"checkpoint $chain/3/../1: pages that an increment of it has, too, were removed"* ]]
	for command in squash dedup; do
		says 6 "checkpoint $chain/1: pages that an increment of it has, too, were removed*" \
			crtool "$command" -D "$chain/1"
	done
	run ! crtool pack -D "$chain/1"
	last=2
	save 3 dump -s --dedup
	whole
	restored
}

@test "another increment that still needs it says so" {
	park track
	chain_new
	save 1 dump -s --track-mem
	save 2 dump -s
	last=1
	go_on
	save 3 dump -s --dedup
	whole
	says 6 "checkpoint $chain/2: pages that it needs were removed from its parent $chain/2/../1 (--dedup) as another increment has no use for them; give the last increment" \
		crtool restore -d -D "$chain/2"
	crtool squash -D "$chain/3"
	rm -r "$chain/1"
	whole
	restored
}

@test "a signed chain stays so" {
	local key

	key=$(key)
	park track
	chain_new
	save 1 dump -s --track-mem --sign "$key"
	go_on
	save 2 dump -s --track-mem --sign "$key"
	says 2 "checkpoint $chain/2/../1: is signed; give the key, too (--sign)" crtool dedup -D "$chain/2"
	crtool dedup -D "$chain/2" --sign "$key"
	[ "$(stat -c %s "$chain/1/manifest.sig")" = 64 ]
	whole --verify "$key"
	go_on
	run ! save 3 dump -s --dedup
	[[ $output == *"is signed; give the key, too (--sign)"* ]]
	save 3 dump -s --dedup --sign "$key"
	whole --verify "$key"
	says 2 "dump: --sign fd:3 can be read once only*" crtool dump -t "$pid" -D "$chain/4" \
		--prev-images-dir ../3 --dedup --sign fd:3 3<"$key"
	restored --verify "$key"
}

@test "what is compressed or encrypted is not thinned, and the target runs on" {
	local how

	(umask 077 && openssl rand -hex 32 >"$BATS_TEST_TMPDIR/key")
	park memory rw
	for how in "--compress lz4" "--encrypt $BATS_TEST_TMPDIR/key"; do
		chain_new
		# shellcheck disable=SC2086
		save 1 pre-dump $how
		# shellcheck disable=SC2086
		says 4 "checkpoint $chain/2/../1: --dedup: no pages can be removed from what is *; fold the chain with crtool squash" \
			crtool dump -t "$pid" -D "$chain/2" --prev-images-dir ../1 --dedup $how
		# shellcheck disable=SC2086
		save 2 pre-dump $how
		says 4 "checkpoint $chain/2*: --dedup: no pages can be removed from what is *; fold the chain with crtool squash" \
			crtool dedup -D "$chain/2"
	done
	alive "$pid"
	kill -KILL "$pid" # it would find that it has been tracked
}

@test "nothing to remove, nothing there" {
	park memory rw
	chain_new
	save 1 pre-dump --dedup
	run -0 crtool dedup -D "$chain/1" -v
	[[ $output == "crtool: $chain/1: has no parent" ]]
	says 6 "checkpoint $chain/none: there is no such directory; *" crtool dedup -D "$chain/none"
	says 2 "dedup: -D is a directory; a stream has no parents" crtool dedup -D -
	kill -KILL "$pid"
}

@test "a file system without holes: refused before anything is stopped" {
	mkdir "$BATS_TEST_TMPDIR/mnt"
	mount -t ramfs none "$BATS_TEST_TMPDIR/mnt" || skip "no ramfs"
	park memory rw
	chain_new
	chain=$BATS_TEST_TMPDIR/mnt
	save 1 pre-dump
	save 2 pre-dump
	last=1
	run ! save 3 dump --dedup
	run -4 crtool dedup -D "$chain/2"
	crtool pack -D "$chain/2" >/dev/null
	umount "$BATS_TEST_TMPDIR/mnt"
	[[ $output == *"/1: --dedup: its file system cannot make holes in files; fold the chain with crtool squash"* ]]
	alive "$pid"
	kill -KILL "$pid"
}
