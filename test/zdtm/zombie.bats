load lib/zdtm

@test "zombies of each signal and of exit codes, each told once" { zdtm zombie signals; }

@test "zombies of other users" {
	[ "$(id -u)" = 0 ] || skip "not root"
	zdtm zombie user
}

@test "a zombie of which SIGCHLD still waits to be heard" { zdtm zombie pending; }

@test "zombies that end with another signal than SIGCHLD, or none" { zdtm zombie clone; }

@test "a zombie of a stopped parent" { zdtm zombie stopped; }

@test "a zombie in a group without leader, of a session that its parent has left" { zdtm zombie group; }

@test "that a zombie has left a core is told as lost" {
	there_is zombie core || skip "no cores are left here"
	park zombie core
	to=$(images)
	run -0 crtool dump -t "$pid" -D "$to"
	[[ $output == *"not carried: task "*" (zombie): that it has left a core: its parent will be told of signal 6 alone"* ]] || explain "$output"
	crtool restore -d -D "$to"
	release
}

# What crtool itself was started with is nobody's business.
@test "the end of a restored tree is told to a caller that ignores SIGCHLD" {
	local sid

	park park fail
	dump
	touch "$dir/release"
	run -1 env --ignore-signal=CHLD "$BUILD/crtool" restore -D "$to" 3>&- 4>&-
	[ -z "$output" ] || explain "$output"
	# a daemon, whose session somebody has to make first
	fresh_dir
	start bash -c "'$BUILD/test/zdtm/park' & echo \$! >pid"
	within 20 test -e "$dir/parked"
	sid=$pid
	pid=$(<"$dir/pid")
	within 10 gone "$sid"
	dump
	env --ignore-signal "$BUILD/crtool" restore -d -D "$to" 3>&- 4>&-
	release
}

@test "zombies are what they were if the caller of crtool ignores signals" {
	local way

	for way in signals stopped; do
		park zombie "$way"
		to=$(images)
		env --ignore-signal "$BUILD/crtool" dump -t "$pid" -D "$to" 3>&- 4>&-
		within 5 gone "$pid"
		env --ignore-signal "$BUILD/crtool" restore -d -D "$to" 3>&- 4>&-
		release
	done
}
