load lib/zdtm

# On a terminal of its own (of 24 lines, 80 columns) a shell starts the victim as its job.
park_job() {
	fresh_dir
	# shellcheck disable=SC2016
	start script -qec "stty rows 24 cols 80; tty=\$(tty); $BUILD/test/zdtm/tty <\$tty 2>>err & echo \$! >pid; wait" /dev/null
	within 20 test -e "$dir/parked"
	within 20 test -s "$dir/pid"
	pid=$(cat "$dir/pid")
}

@test "a terminal is refused without -j" {
	park_job
	run -4 crtool dump -t "$pid" -D "$(images)"
	[[ $output == *"-j"* ]]
	running "$pid"
}

@test "a shell job goes on in the terminal that crtool is called from" {
	local to

	park_job
	to=$(images)
	crtool dump -j -t "$pid" -D "$to"
	within 5 gone "$pid"
	run -4 crtool restore -d -D "$to"
	[[ $output == *"-j"* ]]
	run crtool restore -j -d -D "$to" </dev/null
	[[ $output == *"crtool has no terminal"* ]]
	touch "$dir/release"
	start script -qec "stty rows 33 cols 99; $BUILD/crtool restore -j -D $to" typescript
	within 5 test -e "$dir/result" || { cat "$dir"/{typescript,err}; false; }
	[ "$(cat "$dir/result")" = pass ]
	within 20 grep -q "still here" "$dir/typescript"
}

# It runs on, and comes back three times, each time as the job of another terminal, the last of which is larger.
@test "a shell job that is dumped with -R, and three times in a row" {
	local round to victim='' size='rows 24 cols 80'

	park_job
	victim=$pid
	dump_with=(-j)
	dump_running
	for round in 1 2 3; do
		to=$(images)
		crtool dump -j -t "$victim" -D "$to"
		within 5 gone "$victim"
		[ "$round" != 3 ] || { touch "$dir/release" && size='rows 33 cols 99'; }
		start script -qec "stty $size; $BUILD/crtool restore -j -D $to" typescript
		[ "$round" = 3 ] || within 20 running "$victim"
	done
	within 20 test -e "$dir/result" || { cat "$dir"/{typescript,err}; false; }
	[ "$(cat "$dir/result")" = pass ]
}
