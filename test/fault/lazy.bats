# restore --lazy that is killed at any system call: all or nothing, and nobody runs on zeros.
load ../zdtm/lib/zdtm
load lib/points

setup() {
	# most calls are those of any restore, which others look at
	fewer 10
}

# Those who bring memory from $to, by what /proc shows of them.
servers() {
	grep -lsaF "$to" /proc/[0-9]*/cmdline | xargs -r dirname | xargs -rI{} grep -lsx crtool-lazy {}/comm | sed 's|/proc/\([0-9]*\)/.*|\1|'
}

idle() {
	[ -z "$(servers)" ]
}

aftermath() {
	within 20 idle || echo "somebody still brings memory: $(servers)"
}

@test "killed at any call, a lazy restore is all or nothing" {
	victim=(zdtm/memory_large)
	restore_points KILL --lazy
}

@test "no memory, at any call of a lazy restore" {
	victim=(zdtm/memory_large)
	restore_points '=ENOMEM' --lazy
}

# Who serves is the child of who holds.
worker() {
	local each

	for each in $(servers); do
		[ -n "$(<"/proc/$each/task/$each/children")" ] || echo "$each"
	done
}

holder() {
	local each

	for each in $(servers); do
		[ -z "$(<"/proc/$each/task/$each/children")" ] || echo "$each"
	done
}

two_of_them() {
	[ -n "$(worker)" ] && [ -n "$(holder)" ]
}

@test "who brings memory is killed: so is the tree" {
	park memory_large
	dump
	crtool restore -d --on-demand -D "$to"
	within 20 two_of_them
	kill -KILL "$(worker)"
	within 20 gone_or_zombie
	within 20 idle
	crtool restore -d -D "$to"
	release
}

@test "who holds the memory is killed, and then who brings it: so is the tree" {
	local first

	park memory_large
	dump
	crtool restore -d --on-demand -D "$to"
	within 20 two_of_them
	first=$(worker)
	kill -KILL "$(holder)"
	within 20 two_of_them
	running "$pid"
	[ "$(holder)" = "$first" ]
	kill -KILL "$(worker)"
	within 20 gone_or_zombie
	within 20 idle
}
