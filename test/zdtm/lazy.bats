# restore --lazy: the tree runs before its memory is there; afterwards nothing of it is left.
load lib/zdtm
load ../fault/lib/refuse

setup() {
	set -o pipefail
}

# All memory is there, and nobody brings more.
filled() {
	local task

	for task in "$pid" $(cat "/proc/$pid/task/"*/children); do
		! grep -qsE '^VmFlags:.* um' "/proc/$task/smaps" || return 1
	done
}

# Dumped and lazily restored, it is what it was once all is there.
lazily() {
	local before=$BATS_TEST_TMPDIR/before

	echo "--- $*"
	park "$@"
	picture "$before"
	dump "${dump_with[@]}"
	crtool restore -d --lazy -D "$to" "${restore_with[@]}"
	within 20 filled
	picture "$before.after"
	diff <(grep -vE "$accept" "$before") <(grep -vE "$accept" "$before.after") || explain "it is not what it was"
	release
}

@test "memory of all kinds comes back lazily, and is the same afterwards" {
	lazily memory_large
	lazily memory
	lazily memory_advice
	lazily memory_shared
	lazily thread
}

@test "trees with memory in common come back lazily" {
	accept=' map\.' lazily memory_cow 1
	lazily tree sessions
}

@test "a program that moves, throws away, unmaps and forks while its memory comes" {
	park memory_lazy
	for _ in {1..4}; do
		dump
		crtool restore -d --lazy -D "$to"
		within 20 filled
		running "$pid"
		rm -r "$to"
	done
	release
}

@test "lazily from compressed and encrypted images, and from a stream" {
	openssl rand 32 >"$BATS_TEST_TMPDIR/key"
	dump_with=(--compress lz4)
	lazily memory_large
	dump_with=(--encrypt "$BATS_TEST_TMPDIR/key") restore_with=(--decrypt "$BATS_TEST_TMPDIR/key")
	lazily memory_large
	park memory_lazy
	crtool dump -t "$pid" -D - | crtool restore -d --lazy -D -
	within 20 filled
	release
}

@test "a copy in a pid namespace of its own, lazily" {
	park memory_lazy
	dump
	crtool restore -d --lazy --new-pidns --pidfile "$dir/copy" -D "$to"
	pid=$(<"$dir/copy")
	within 20 filled
	release
}

@test "a page file that is not what it was kills the tree, and it is said" {
	park memory_large
	dump
	printf '\377' | dd of="$to/pages-0.img" bs=1 seek=5000000 conv=notrunc status=none
	crtool restore -d --lazy -D "$to" 2>"$dir/said"
	within 20 gone "$pid"
	within 20 grep -q "pages-0.img: wrong checksum .*; the tree is killed" "$dir/said"
}

@test "when who brings the memory fails, the tree is killed: nobody runs on zeros" {
	park memory_lazy
	dump
	crtool restore -d --lazy --fail-at lazy -D "$to" 2>"$dir/said"
	within 20 gone "$pid"
	within 20 grep -q "failed while memory was brought, as asked; the tree is killed" "$dir/said"
	crtool restore -d --lazy -D "$to"
	release
}
