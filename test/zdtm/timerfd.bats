load lib/zdtm

@test "timers of timerfd keep what remains, dates, intervals and ticks" {
	zdtm timerfd
}
