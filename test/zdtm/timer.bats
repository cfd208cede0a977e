load lib/zdtm

@test "POSIX timers keep id, clock, notification and what was left" { zdtm timer; }

@test "a timer that counts the CPU time of an unknown thread is refused by name" {
	park timer unknown
	run crtool dump -t "$pid" -D "$(images)"
	[ "$status" -ne 0 ]
	[[ $output == *"POSIX timer "*" counts the CPU time of a thread"* ]]
	running "$pid"
	release
}
