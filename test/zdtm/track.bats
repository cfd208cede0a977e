load lib/zdtm
load ../fault/lib/refuse
load lib/chain

setup_file() {
	local BATS_TEST_TMPDIR=$BATS_FILE_TMPDIR

	park track quiet
	crtool pre-dump -t "$pid" -D "$(images)" >"$dir/said" 2>&1
	zdtm_teardown
	! grep -q "this kernel cannot tell what is written to" "$dir/said" || : >"$BATS_FILE_TMPDIR/cannot"
}

setup() {
	[ ! -e "$BATS_FILE_TMPDIR/cannot" ] || skip "userfaultfd without WP_ASYNC"
}

# Who keeps the tracking of $pid up: those that have the table of it open.
trackers() {
	local each

	for each in $(pgrep -x crtool-track); do
		# the first slot: start time, pid
		[ "$(od -An -td4 -j 24 -N 4 "/proc/$each/fd/3" 2>/dev/null | tr -d ' ')" = "$pid" ] && echo "$each"
	done
	return 0
}

# Does the tracker of $pid go by soft-dirty marks? They are not believed of pages that processes share since a fork.
soft() {
	[ "$(od -An -td8 -j 48 -N 8 "/proc/$(trackers)/fd/3" | tr -d ' ')" = 1 ]
}

tracked_by() {
	[ "$(trackers | wc -l)" = "$1" ]
}

@test "fifty rounds of a hostile writer, every byte compared" {
	park track
	chain_new
	for i in {1..51}; do
		if ((i % 3 == 2)); then
			save "$i" pre-dump
		else
			save "$i" dump -s --track-mem
			same >"$dir/same" || explain "round $i: $(tail -n 5 "$dir/same")"
			go_on
		fi
		sleep 0.0$((i % 5))
	done
	kill -KILL -- "-$pid"
	within 5 gone "$pid"
	crtool restore -d -D "$chain/$last"
	save again dump -s --track-mem
	same >"$dir/same" || explain "restored: $(tail -n 5 "$dir/same")"
	go_on
	release
}

# increments VICTIM [args]: two pre-dumps and a dump; what comes back is what it was.
increments() {
	echo "--- $*"
	park "$@"
	chain_new
	save 1 pre-dump
	save 2 pre-dump
	running "$pid"
	save 3 dump
	within 5 gone "$pid"
	crtool restore -d -D "$chain/3"
	release
}

@test "memory of all kinds comes back from three increments" {
	increments memory rw
	increments memory none
	! there_is memory_guard || increments memory_guard
	increments memory_advice
	increments memory_shared
	increments memory_file
	increments memory_dontdump
}

@test "much memory, threads and trees come back from three increments" {
	increments memory_large
	increments thread
	increments seccomp own
	! threads_have_pidfds || increments leader plain
	increments memory_cow 1
}

@test "whole dumps of a running program are increments, too, and so are snapshots" {
	park snapshot
	chain_new
	save 1 dump -R --track-mem
	save 2 dump -R --track-mem --snapshot
	save 3 dump -R --track-mem
	save 4 dump
	within 5 gone "$pid"
	crtool restore -d -D "$chain/4"
	release
	crtool restore -d -D "$chain/2"
	release
}

@test "an increment has what was written to, and forked memory once" {
	park memory_cow_large 64
	chain_new
	save 1 dump -R --track-mem
	(($(stored 1) > 60000))
	most=4096
	! soft || most=100000
	save 2 dump -R --track-mem
	save 3 dump
	(($(stored 2) < most))
	(($(stored 3) < most))
	within 5 gone "$pid"
	crtool restore -d -D "$chain/3"
	release
}

@test "an increment of a process that has not forked has what was written to alone" {
	park memory_large
	chain_new
	save 1 pre-dump
	save 2 dump
	(($(stored 2) < $(stored 1) / 8))
	within 5 gone "$pid"
	crtool restore -d -D "$chain/2"
	release
}

@test "nothing of the tracking is to be seen in the program, and it ends with the program" {
	park track quiet
	chain_new
	ls "/proc/$pid/fd" >"$dir/fds"
	save 1 pre-dump
	ls "/proc/$pid/fd" | diff "$dir/fds" -
	tracked_by 1
	save 2 pre-dump
	within 5 tracked_by 1
	save 3 dump
	within 5 tracked_by 0
}

@test "a dump that asks for no increment takes a tracked program as any other" {
	park memory rw
	chain_new
	save 1 pre-dump
	last=''
	save 2 dump -R
	save 3 dump
	(($(stored 2) > 0 && $(stored 3) > 0))
	within 5 gone "$pid"
	crtool restore -d -D "$chain/3"
	release
}

@test "the tracker may be killed: the next dump stores all, and is right" {
	park track quiet
	chain_new
	save 1 dump -s --track-mem
	go_on
	kill -KILL "$(trackers)"
	within 5 tracked_by 0
	save 2 dump -s --track-mem
	same
	(($(stored 2) * 10 > $(stored 1) * 9))
	go_on
	save 3 dump -s --track-mem
	same
	(($(stored 3) * 2 < $(stored 1)))
}

@test "an increment of an older one stores all, and is right" {
	park track quiet
	chain_new
	save 1 dump -s --track-mem
	go_on
	save 2 dump -s --track-mem
	go_on
	last=1
	save 3 dump -s --track-mem
	same
	(($(stored 3) * 10 > $(stored 1) * 9))
	go_on
	last=2
	save 4 dump -s
	same
}

@test "without --track-mem, increments stay relative to the last one that had it" {
	park track quiet
	chain_new
	save 1 dump -s --track-mem
	for i in 2 3; do
		go_on
		last=1
		save "$i" dump -s
		same
		(($(stored "$i") * 2 < $(stored 1)))
	done
}

@test "signed and encrypted increments; the parent must be so, too" {
	park memory rw
	chain_new
	openssl genpkey -algorithm ed25519 -out "$dir/key.pem"
	openssl pkey -in "$dir/key.pem" -pubout -out "$dir/key.pub"
	openssl rand -hex 32 >"$dir/key"
	chmod 600 "$dir/key" "$dir/key.pem"
	save 1 pre-dump --sign "$dir/key.pem" --encrypt "$dir/key"
	says 6 "checkpoint $chain/2/../1: is encrypted; give its key (--encrypt)" \
		crtool dump -t "$pid" -D "$chain/2" --prev-images-dir ../1
	save 2 dump --sign "$dir/key.pem" --encrypt "$dir/key"
	within 5 gone "$pid"
	crtool restore -d -D "$chain/2" --verify "$dir/key.pub" --decrypt "$dir/key"
	release
	rm "$chain/1/manifest.sig"
	says 6 "*manifest.sig is missing*" crtool restore -d -D "$chain/2" --verify "$dir/key.pub" --decrypt "$dir/key"
}

@test "a parent that is missing, another one or damaged is told; so is a pre-dump" {
	park memory rw
	chain_new
	save 1 pre-dump
	save 2 pre-dump
	save 3 dump
	within 5 gone "$pid"
	mv "$chain/1" "$chain/away"
	says 6 "checkpoint $chain/3/../2: its parent $chain/3/../2/../1, which has the pages that did not change, is missing; put it there" \
		crtool restore -d -D "$chain/3"
	mkdir "$chain/1"
	says 6 "*its parent $chain/3/../2/../1, which has the pages that did not change, is missing; put it there" crtool restore -d -D "$chain/3"
	rmdir "$chain/1"
	cp -r "$chain/2" "$chain/1"
	says 6 "checkpoint $chain/3/../2: what is in $chain/3/../2/../1 is not its parent but another checkpoint; put the parent back there" \
		crtool restore -d -D "$chain/3"
	rm -r "$chain/1"
	mv "$chain/away" "$chain/1"
	says 6 "checkpoint $chain/1: holds memory only (crtool pre-dump); the rest is in a dump whose parent it is (--prev-images-dir)" \
		crtool restore -d -D "$chain/1"
	cp "$chain/1/pages-0.img" "$dir/aside"
	printf x | dd of="$chain/1/pages-0.img" bs=1 seek=5000 conv=notrunc status=none
	says 6 "checkpoint $chain/3/../2/../1: pages-0.img: wrong checksum *" crtool restore -d -D "$chain/3"
	cp "$dir/aside" "$chain/1/pages-0.img"
	# the directories together may be moved
	mv "$chain" "$chain.moved"
	crtool restore -d -D "$chain.moved/3"
	release
}

@test "what the kernel writes to by itself is stored whole, and that is said" {
	park aio
	chain_new
	run -0 crtool pre-dump -t "$pid" -D "$chain/1"
	[[ $output == *"task $pid (aio): its memory is stored whole: io_uring and AIO write to it where that cannot be seen"* ]]
	last=1
	crtool dump -t "$pid" -D "$chain/2" --prev-images-dir ../1
	within 5 gone "$pid"
	crtool restore -d -D "$chain/2"
	release
}

@test "options of increments that make no sense" {
	park park
	says 2 "dump: --track-mem is for a tree that lives on; give --leave-running or --leave-stopped, too" \
		crtool dump -t "$pid" -D "$(images)" --track-mem
	says 2 "pre-dump: increments are directories; -D - is a stream" crtool pre-dump -t "$pid" -D -
	says 6 "no checkpoint in *" crtool dump -t "$pid" -D "$(images)" --prev-images-dir ..
	release
}
