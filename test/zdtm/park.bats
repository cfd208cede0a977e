load lib/zdtm

@test "a victim parks, is released and passes" {
	park park
	running "$pid"
	[ ! -e "$dir/result" ]
	release
}

@test "a victim starts with nothing but its standard descriptors, in its own session" {
	park park
	[ "$(cd "/proc/$pid/fd" && echo *)" = "0 1 2" ]
	[ "$(awk '{ print $6 }' "/proc/$pid/stat")" = "$pid" ]
	release
}

@test "a failed check is a failed test" {
	park park fail
	run release
	[ "$status" -ne 0 ]
	[[ $output == *"check(argc == 1) failed"* ]]
}

@test "what a test leaves behind is killed" {
	park park
	zdtm_teardown
	gone "$pid"
}
