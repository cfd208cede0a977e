load lib/zdtm

@test "POSIX timers keep id, clock, notification and what was left" { zdtm timer; }

# Before Linux 6.15.
@test "also where nobody can choose the ids of timers" {
	for many in "" many; do
		to=$(images)
		park timer $many
		crtool dump -t "$pid" -D "$to"
		within 5 gone "$pid"
		old crtool restore -d -D "$to"
		release
	done
}

@test "a timer that counts the CPU time of an unknown thread is refused by name" {
	park timer unknown
	run crtool dump -t "$pid" -D "$(images)"
	[ "$status" -ne 0 ]
	[[ $output == *"POSIX timer "*" counts the CPU time of a thread"* ]]
	running "$pid"
	release
}
