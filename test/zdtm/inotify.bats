load lib/zdtm
load lib/overlay

@test "inotify keeps its watches under their numbers" {
	zdtm inotify
}

@test "a deleted file that is open is watched on" {
	accept='\(deleted\)|f_handle' # made anew
	zdtm inotify deleted
}

@test "who watches everything of a deleted file is not told that a dump reads it" {
	accept='\(deleted\)|f_handle' # made anew
	zdtm inotify quiet
}

@test "nor of one that is open for direct I/O" {
	fresh_dir
	accept='\(deleted\)|f_handle'
	zdtm inotify quiet direct
}

# To end a context of asynchronous reads takes the kernel some ten milliseconds.
@test "of many deleted files the content is read with one context" {
	accept='\(deleted\)|f_handle' # made anew
	park inotify many
	strace -f -o "$dir/calls" -e trace=io_setup "$BUILD/crtool" dump -R -t "$pid" -D "$(images)" 3>&- 4>&-
	[ "$(grep -c 'io_setup(' "$dir/calls")" = 1 ]
	dump_and_restore
	release
}

@test "what can be read only by opening it again is told to be seen so" {
	park inotify quiet write
	run -0 crtool dump -R -t "$pid" -D "$(images)"
	[[ $output == *"d/log (deleted): "*"its content is read"*"who watches it"* ]] || explain "$output"
	kill -KILL "$pid"
}

@test "events that wait to be read are told, and become an overflow event" {
	park inotify pending
	crtool dump -t "$pid" -D "$BATS_TEST_TMPDIR/images" 2>"$dir/said"
	grep "not carried: .*fd 3: anon_inode:inotify: 32 bytes of events that wait to be read" "$dir/said"
	crtool restore -d -D "$BATS_TEST_TMPDIR/images"
	release
}

@test "who watches its own program, and the top of a file system, is told nothing of a dump" {
	fresh_dir
	mkdir "$dir/own"
	mount -t tmpfs crtool-test "$dir/own" 2>/dev/null || skip "nothing can be mounted here"
	cp "$BUILD/test/zdtm/inotify" "$dir/own/program"
	start ./own/program unseen
	within 20 parked_or_gone
	dump_running
	dump_and_restore
	release
}

@test "who watches a file that alone of its file system is mounted is told nothing of a dump" {
	fresh_dir
	mkdir "$dir/own"
	: >"$dir/file"
	mount -t tmpfs crtool-test "$dir/own" 2>/dev/null || skip "nothing can be mounted here"
	: >"$dir/own/file"
	mount --bind "$dir/own/file" "$dir/file"
	umount "$dir/own"
	start "$BUILD/test/zdtm/inotify" mounted
	within 20 parked_or_gone
	dump_running
	dump_and_restore
	release
}

teardown() {
	local at

	overlay_teardown
	for at in "$BATS_TEST_TMPDIR"/1/own "$BATS_TEST_TMPDIR/1/file"; do
		! mountpoint -q "$at" || umount "$at"
	done
}

@test "watches on overlayfs, whose handles cannot be opened" {
	overlay
	start "$BUILD/test/zdtm/inotify"
	within 20 parked_or_gone
	dump_and_restore
	release
}

# Before Linux 6.6.
@test "watches on overlayfs, where nobody gives the handles of names" {
	overlay
	start "$BUILD/test/zdtm/inotify"
	within 20 parked_or_gone
	carried_old
}

@test "who watches directories on overlayfs is told nothing of a dump that finds them" {
	overlay
	start "$BUILD/test/zdtm/inotify" found
	within 20 parked_or_gone
	run -0 crtool dump -R -t "$pid" -D "$(images)"
	[[ $output != *"is told"* ]] || skip "this kernel does not tell names"
	dump_and_restore
	release
}
