load lib/zdtm

# Sockets of this kind are of the whole machine, whatever the network namespace.
needs_vsock() {
	fresh_dir
	start "$BUILD/test/zdtm/sk_vsock" "$1"
	within 20 parked_or_gone
	[ -e "$dir/parked" ] || skip "no vsock here"
}

@test "listeners of vsock, with port and buffer sizes; bound and fresh ones" {
	needs_vsock listener
	release
	zdtm sk_vsock listener
}

@test "a connection of vsock is refused" {
	needs_vsock connecting
	run -4 crtool dump -t "$pid" -D "$(images)"
	[[ $output == *"task $pid (sk_vsock): fd "*"(vsock stream"*"): a connection to another machine, which cannot be saved; --on-unknown-fd=null"* ]]
	running "$pid"
	release
}

@test "a port of vsock that somebody else has: the restore says so" {
	needs_vsock listener
	to=$(images)
	run -0 crtool dump -R -t "$pid" -D "$to"
	run crtool restore -d --new-pidns -D "$to"
	[ "$status" -ne 0 ]
	[[ $output == *"vsock socket "*": port "*" is in use by another socket"* ]]
	running "$pid"
	release
}
