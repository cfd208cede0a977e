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
