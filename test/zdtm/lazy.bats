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
	within 20 served_by_nobody
	release
}

@test "memory of all kinds comes back lazily, and is the same afterwards" {
	lazily memory_large
	lazily memory
	lazily memory_advice
	lazily memory_shared
	lazily thread
}

@test "mappings that become one are one, though their memory is not there yet" {
	park memory_merged
	dump
	crtool restore -d --on-demand -D "$to"
	release
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

# Anonymous memory that it has, in KiB.
anonymous() {
	awk '/^Anonymous:/ { print $2 }' "/proc/$1/smaps_rollup"
}

@test "copies on demand have what they touch, and share the rest" {
	local copies=() sum=0

	park memory_large
	dump
	for i in {1..10}; do
		crtool restore -d --on-demand --new-pidns --pidfile "$dir/copy" -D "$to"
		copies+=("$(<"$dir/copy")")
	done
	for pid in "${copies[@]}"; do
		running "$pid"
		sum=$((sum + $(anonymous "$pid")))
	done
	# with the page files, which may all be in the page cache, less than 1.2 of one
	sum=$((sum + $(du -kc --apparent-size "$to"/pages-*.img | tail -1 | cut -f 1)))
	echo "# ten copies of 96 MiB and their images: $sum KiB" >&3
	[ "$sum" -lt $((96 * 1024 * 12 / 10)) ] || explain "10 copies of 96 MiB take $sum KiB"
	touch "$dir/release"
	for pid in "${copies[@]}"; do
		within 20 gone_or_zombie
		release
	done
	[ ! -s "$dir/err" ] || explain "one did not pass"
	within 20 served_by_nobody
}

# Nobody is left who brings memory from these images.
served_by_nobody() {
	! grep -lsaF "$to" /proc/[0-9]*/cmdline | xargs -r dirname | xargs -rI{} cat {}/comm 2>/dev/null | grep -q crtool-lazy
}

@test "on demand: a program that moves, throws away, unmaps and forks; and it is saved meanwhile" {
	park memory_lazy
	for _ in {1..4}; do
		dump
		# Whoever reads what it says does not wait for who serves.
		crtool restore -d --on-demand -D "$to" 2>&1 | cat
		running "$pid"
	done
	release
	within 20 served_by_nobody
}

@test "a tree is saved while its memory comes: the dump waits until all is there" {
	park memory_large
	dump
	crtool restore -d --on-demand -D "$to"
	! filled || explain "all is there already"
	to=$(images)
	crtool dump -v -t "$pid" -D "$to" 2>"$dir/said"
	grep -q "memory_large): its memory is still being brought (restore --lazy): waiting for it" "$dir/said"
	crtool restore -d --lazy -D "$to"
	to=$(images)
	crtool dump -R -t "$pid" -D "$to"
	[ "$(cat "$to"/pages-*.img | wc -c)" -gt $((80 << 20)) ]
	kill -KILL "$pid"
	within 5 gone "$pid"
	crtool restore -d -D "$to"
	release
}

@test "on demand needs images as they are" {
	park memory_large
	says 2 "restore: --on-demand needs a directory; a stream is read once" crtool restore -d --on-demand -D - <"$dir/err"
	dump --compress lz4
	says 2 "checkpoint *: --on-demand needs page files that are read as they are: not compressed, *; use --lazy" \
		crtool restore -d --on-demand -D "$to"
	crtool restore -d -D "$to"
	release
}

@test "on demand: a page file that is not what it was kills the tree, and it is said" {
	park memory_large
	dump
	printf '\377' | dd of="$to/pages-0.img" bs=1 seek=5000000 conv=notrunc status=none
	crtool restore -d --on-demand -D "$to" 2>"$dir/said"
	within 20 gone "$pid"
	within 20 grep -q "pages-0.img: wrong checksum .*; the tree is killed" "$dir/said"
	within 20 served_by_nobody
}
