load lib/zdtm

# The victims with threads, seccomp filters, shared and inherited memory.
snapshot() {
	echo "--- $*"
	park "$@"
	snapshot_and_restore
	release
}

@test "a snapshot is of one moment, whatever is written meanwhile" {
	local to

	park snapshot
	to=$(images)
	crtool dump -R --snapshot -t "$pid" -D "$to"
	zdtm_teardown
	crtool restore -d -D "$to"
	release
}

@test "a program of which snapshots are made goes on" {
	park snapshot
	for _ in {1..5}; do
		crtool dump -R --snapshot -t "$pid" -D "$(images)"
		running "$pid"
	done
	release
}

@test "memory of all kinds comes back from a snapshot" {
	snapshot memory
	snapshot memory_large
	snapshot memory_guard
	snapshot memory_advice
	snapshot memory_advice large
	snapshot memory_shared
}

@test "trees and threads come back from a snapshot" {
	accept=' map\.' # neighbours that the kernel kept apart may become one mapping
	snapshot memory_cow 1
	accept='^$'
	snapshot thread
	snapshot seccomp own
	! threads_have_pidfds || snapshot leader plain
}

@test "a process that cannot be forked is copied while it stands still, and that is said" {
	local to

	fresh_dir
	start setpriv --reuid=54321 --regid=54321 --clear-groups prlimit --nproc=1 "$BUILD/test/zdtm/snapshot"
	within 20 parked_or_gone
	to=$(images)
	run -0 crtool dump -R --snapshot -t "$pid" -D "$to"
	[[ $output == *"($(cat /proc/"$pid"/comm)): its memory is copied while it stands still, since it cannot be forked: Resource temporarily unavailable"* ]]
	zdtm_teardown
	crtool restore -d -D "$to"
	release
}

@test "a snapshot of a program that is about to be killed makes no sense" {
	park snapshot
	run -2 crtool dump --snapshot -t "$pid" -D "$(images)"
	[[ $output == *"--snapshot is for a tree that runs on; give --leave-running, too"* ]]
	release
}
