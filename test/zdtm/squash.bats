# crtool squash: an increment takes over what its parents have for it.
load lib/zdtm
load lib/chain
load ../fault/lib/refuse

setup() {
	keys=$BATS_TEST_TMPDIR/keys
	mkdir "$keys"
	(
		umask 077
		openssl genpkey -algorithm ed25519 -out "$keys/key.pem"
		openssl pkey -in "$keys/key.pem" -pubout -out "$keys/key.pub"
		openssl rand -hex 32 >"$keys/key"
	)
}

# $1 checkpoints of $pid, which writes meanwhile; it is left stopped.
grow() {
	local n=$1

	shift
	chain_new
	for ((i = 1; i < n; i++)); do
		save "$i" pre-dump "$@"
	done
	save "$n" dump -s --track-mem "$@"
}

# whole N [OPTIONS]: all pages that N needs are there, and are what they were.
whole() {
	local n=$1

	shift
	crtool pack -D "$chain/$n" "$@" >/dev/null
}

# The tree is ended, and comes back from checkpoint N alone.
restored_from() {
	local n=$1 each

	shift
	kill -KILL -- "-$pid"
	within 5 gone "$pid"
	for each in "$chain"/*; do
		[ "$each" = "$chain/$n" ] || rm -r "$each"
	done
	crtool restore -d -D "$chain/$n" "$@"
	release
}

@test "a chain of five becomes one checkpoint" {
	park track
	grow 5
	run -0 crtool squash -D "$chain/5" -v
	[[ $output == "crtool: $chain/5: has all its pages itself now; it needs none of its 4 parents" ]]
	rm -r "$chain/"[1-4]
	same
	go_on
	save 6 dump -s --track-mem
	same
	(($(stored 6) * 2 < $(stored 5)))
	restored_from 5
}

@test "one in the middle is folded, and stays the parent of its increments" {
	park track
	grow 4
	go_on
	save 5 dump -s --track-mem
	crtool squash -D "$chain/3"
	rm -r "$chain/"[12]
	same
	crtool squash -D "$chain/5"
	same
	crtool show -D "$chain/5" >/dev/null
	crtool pack -D "$chain/5" | crtool unpack -D "$chain/6"
	crtool pack -D "$chain/6" | crtool show -D - >/dev/null
	restored_from 6
}

@test "what was overwritten since is left out" {
	park track quiet
	chain_new
	save 1 dump -s --track-mem
	go_on
	save 2 dump -s --track-mem
	same
	go_on
	last=''
	save 3 dump -s
	crtool squash -D "$chain/2"
	# 16 pages were; a file system may need a block for a list of holes
	(($(du -k "$chain/2" | cut -f 1) <= $(du -k "$chain/3" | cut -f 1) + 16))
}

@test "a chain of a tree that shares memory" {
	park memory_cow 1
	grow 3
	same
	crtool squash -D "$chain/3"
	rm -r "$chain/"[12]
	same
	restored_from 3
}

@test "compressed, encrypted and signed chains stay so" {
	local how=(--sign "$keys/key.pem" --encrypt "$keys/key" --compress zstd)
	local read=(--verify "$keys/key.pub" --decrypt "$keys/key")

	park track quiet
	grow 3 "${how[@]}"
	says 6 "checkpoint $chain/3: is encrypted; give its key (--decrypt)" crtool squash -D "$chain/3"
	says 2 "checkpoint $chain/3: is signed; give the key, too (--sign)" \
		crtool squash -D "$chain/3" --decrypt "$keys/key"
	crtool squash -D "$chain/3" --decrypt "$keys/key" --sign "$keys/key.pem"
	[ "$(stat -c %s "$chain/3/manifest.sig")" = 64 ]
	run ! cmp -s "$chain/1/pages-0.img" "$chain/3/pages-1.img"
	(($(stored 3) < $(stored 1) * 2))
	restored_from 3 "${read[@]}"
}

@test "two signatures, as a squash that was killed leaves them, are as good as one" {
	park memory rw
	grow 2 --sign "$keys/key.pem"
	cat "$chain/1/manifest.sig" "$chain/2/manifest.sig" >"$dir/both"
	cp "$dir/both" "$chain/2/manifest.sig"
	whole 2 --verify "$keys/key.pub"
	head -c 96 "$dir/both" >"$chain/2/manifest.sig"
	says 6 "*manifest.sig: 96 bytes instead of 64*" crtool pack -D "$chain/2" --verify "$keys/key.pub"
	cat "$chain/1/manifest.sig" "$chain/1/manifest.sig" >"$chain/2/manifest.sig"
	says 6 "*manifest.sig: is not by the key of --verify*" crtool pack -D "$chain/2" --verify "$keys/key.pub"
	kill -KILL -- "-$pid"
}

@test "what was not signed is not, afterwards" {
	park memory rw
	grow 2
	says 6 "checkpoint $chain/2: manifest.sig is missing; it was not signed (dump --sign), or not copied" \
		crtool squash -D "$chain/2" --sign "$keys/key.pem"
	whole 2
	kill -KILL -- "-$pid"
}

@test "nothing to fold, nothing there, a parent that is missing" {
	park memory rw
	grow 2
	run -0 crtool squash -D "$chain/1" -v
	[[ $output == "crtool: $chain/1: has no parent" ]]
	mv "$chain/1" "$chain/away"
	says 6 "checkpoint $chain/2: its parent $chain/2/../1, which has the pages that did not change, is missing; put it there" \
		crtool squash -D "$chain/2"
	says 6 "checkpoint $chain/none: there is no such directory; *" crtool squash -D "$chain/none"
	says 2 "squash: -D is a directory; a stream has no parents" crtool squash -D -
	kill -KILL -- "-$pid"
}
