load lib/zdtm

@test "a signalfd keeps its mask and finds what was pending" {
	zdtm signalfd
}
