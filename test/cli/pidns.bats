load ../zdtm/lib/zdtm

# The pid out here of the only child of the init in pid namespace of process $1's.
tree_of() {
	cat "/proc/$1/task/$1/children"
}

@test "a copy runs beside the original, with the same pids in a namespace of its own" {
	local to copy

	park tree plain
	to=$(images)
	crtool dump -R -t "$pid" -D "$to"
	crtool restore -d --new-pidns --pidfile "$dir/copy" -D "$to"
	copy=$(cat "$dir/copy")
	alive "$copy"
	[ "$(awk '/^NSpid/ { print $NF }' "/proc/$copy/status")" = "$pid" ]
	[ "$(readlink "/proc/$copy/ns/pid")" != "$(readlink "/proc/$pid/ns/pid")" ]
	[ "$(awk '/^Name/ { print $2 }' "/proc/$copy/root/proc/$pid/status")" = tree ]
	release
	within 20 gone "$copy"
}

@test "two copies at once" {
	local to one two

	park park
	to=$(images)
	crtool dump -t "$pid" -D "$to"
	crtool restore -d --new-pidns --pidfile "$dir/one" -D "$to"
	crtool restore -d --new-pidns --pidfile "$dir/two" -D "$to"
	one=$(cat "$dir/one") two=$(cat "$dir/two")
	[ "$one" != "$two" ]
	alive "$one"
	alive "$two"
	touch "$dir/release"
	within 20 gone "$one"
	within 20 gone "$two"
	[ "$(cat "$dir/result")" = pass ]
}

@test "without -d it waits in the namespace and ends as the root does" {
	local to

	park park fail
	to=$(images)
	crtool dump -t "$pid" -D "$to"
	touch "$dir/release"
	run -1 crtool restore --new-pidns -D "$to"
}

@test "what fails inside is said outside" {
	local to

	park park
	to=$(images)
	crtool dump -R -t "$pid" -D "$to"
	run crtool restore -d --new-pidns --fail-at run -D "$to"
	[ "$status" -ne 0 ]
	[[ $output == *"failed at the end of stage run"* ]]
	release
}

# VICTIM [args]: it is dumped, and goes on in a namespace with the same numbers, while others have them out here.
inside_again() {
	local to copy

	park "$@"
	to=$(images)
	crtool dump -t "$pid" -D "$to"
	within 5 gone "$pid"
	crtool restore -d --new-pidns --pidfile "$dir/copy" -D "$to"
	copy=$(cat "$dir/copy")
	alive "$copy" || explain "it is not there"
	touch "$dir/release"
	within 20 gone "$copy" || explain "it does not end"
	[ "$(cat "$dir/result" 2>/dev/null)" = pass ] || explain "it did not pass"
}

@test "sessions, groups, orphans and zombies in a namespace of their own" {
	local how

	for how in groups sessions orphans zombies threads stopped; do
		inside_again tree "$how"
	done
	inside_again zombie signals
	inside_again zombie pending
	inside_again zombie group
	inside_again process orphan
}

@test "what a parent is told of its children in a namespace of their own" {
	local how

	for how in stop told continued nested; do
		inside_again wait_status "$how"
	done
}

@test "shared tables, threads and a main thread that has exited in a namespace of their own" {
	inside_again share combinations
	inside_again share siblings
	inside_again thread
	! threads_have_pidfds || inside_again leader children
}

@test "debuggers and what they trace in a namespace of their own" {
	inside_again ptrace traceme
	inside_again ptrace seize untold pending
	inside_again ptrace_runs attach threads sleep
	inside_again ptrace_calls epoll
}
