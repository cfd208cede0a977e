# --timeout: who does not come to an end is told of in time, by name, and everything is as it was.
load ../zdtm/lib/zdtm
load lib/refuse
load lib/points

# A file system of its own, in a namespace of its own, that the holder $space can freeze: /mnt there.
setup() {
	image=$BATS_TEST_TMPDIR/fs space=''
}

teardown() {
	[ -z "$space" ] || { in_space fsfreeze -u /mnt 2>/dev/null || true; }
	zdtm_teardown
	[ -z "$space" ] || { kill -KILL "$space" && within 20 gone_or_zombie_of "$space"; }
}

gone_or_zombie_of() {
	! alive "$1"
}

in_space() {
	nsenter -t "$space" -m "$@"
}

space_new() {
	truncate -s 16M "$image"
	mkfs.ext4 -q -F "$image" 2>/dev/null || skip "no mkfs.ext4"
	unshare -m sleep 1000 </dev/null >/dev/null 2>&1 3>&- 4>&- &
	space=$!
	disown "$space"
	in_own_namespace() { [ "$(readlink "/proc/$space/ns/mnt")" != "$(readlink /proc/self/ns/mnt)" ]; }
	within 10 in_own_namespace
	in_space mount -o loop "$image" /mnt 2>/dev/null || skip "no loop device can be mounted"
}

waits_in_kernel() {
	grep -q '^State:.D' "/proc/$pid/status"
}

@test "a task that waits in the kernel is named, with what it waits in; it goes on" {
	local to

	space_new
	fresh_dir
	# shellcheck disable=SC2016
	start nsenter -t "$space" -m --wd="$dir" sh -c 'until [ -e release ]; do echo x; sleep 0.01; done >/mnt/file'
	has_written() { [ -s "/proc/$space/root/mnt/file" ]; }
	within 20 has_written
	in_space fsfreeze -f /mnt || skip "the file system cannot be frozen"
	within 20 waits_in_kernel
	to=$(images)
	says 9 "task $pid (sh): thread $pid did not stop in time, it waits in the kernel (*); --timeout gives it longer" \
		nsenter -t "$space" -m "$BUILD/crtool" dump -R --timeout 1 -t "$pid" -D "$to"
	[[ $stderr != *"in the kernel (?)"* ]]
	in_space fsfreeze -u /mnt
	within 20 running "$pid"
	[ -z "$(ls -A "$to")" ]
	touch "$dir/release"
	within 20 gone_or_zombie_of "$pid"
}

@test "a task of a tree that is being restored and hangs: nobody survives, the images stay, the next restore works" {
	local n to sums said status tried=0

	victim=(fault/family)
	checkpoint
	sums=$(cd "$to" && sha256sum ./*)
	for ((n = FAULT_SEED % 20; ; n += 20)); do
		status=0
		said=$(crtool restore -d -D "$to" --timeout 1 --fail-at "hang:$n" 2>&1) || status=$?
		[[ $said != *"there are only "* ]] || break
		[ "$status" = 9 ] || explain "hang:$n ends with $status, says: $said"
		[ "$said" = "crtool: error: the tree was not restored in time; --timeout gives it longer" ] ||
			explain "hang:$n says: $said"
		within 5 nobody || explain "hang:$n: somebody survives"
		[ "$sums" = "$(cd "$to" && sha256sum ./*)" ]
		tried=$((tried + 1))
	done
	crtool restore -d -D "$to"
	release
	((tried > 4))
}

nobody() {
	! pgrep -f "$BUILD/test/${victim[0]}( |$)" >/dev/null
}
