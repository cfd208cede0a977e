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

# The third, which has another name: its pid.
first() {
	grep -lsx "memory-$pid" /proc/[0-9]*/comm | sed 's|/proc/\([0-9]*\)/.*|\1|'
}

all_of_them() {
	two_of_them && [ -n "$(first)" ]
}

@test "all who seem to bring memory are killed at once: the tree is, and it is said" {
	local all

	park memory_large
	dump
	crtool restore -d --on-demand -D "$to" 2>"$dir/said"
	within 20 all_of_them
	mapfile -t all < <(servers)
	kill -STOP "${all[@]}" # so that none of them sees another's end
	kill -KILL "${all[@]}"
	within 20 gone_or_zombie
	[ "$(cat "$dir/said")" = "crtool: error: who brought the memory of the tree was killed, and what is missing cannot come any more; the tree is killed" ]
	[ -z "$(first)" ] || within 20 gone "$(first)"
}

# Is there a userfaultfd in a message that nobody reads?
kept() {
	grep -hs '^scm_fds:.[1-9]' "/proc/$(worker)/fdinfo/"*
}

# That is so for as long as a child lives, and until all memory is there.
kept_once() {
	while [ -n "$(servers)" ]; do
		! kept || return 0
	done
	return 1
}

@test "the memory of children that are forked meanwhile is held by all of them, too" {
	local tries=0

	park memory_lazy
	dump
	crtool restore -d --on-demand -D "$to"
	until kept_once; do
		((++tries < 10))
		kill -KILL "$pid"
		within 20 gone "$pid"
		crtool restore -d --on-demand -D "$to"
	done
	release
	within 20 idle
}

@test "the first of them is killed: another one takes its place" {
	local first

	park memory_large
	dump
	crtool restore -d --on-demand -D "$to"
	within 20 all_of_them
	first=$(first)
	kill -KILL "$first"
	three_again() { [ "$(servers | wc -l)" = 3 ]; }
	within 20 three_again
	kill -KILL "$(worker)"
	within 20 gone_or_zombie
	within 20 idle
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
