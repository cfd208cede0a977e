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
