load lib/zdtm

@test "POSIX timers keep id, clock, notification and what was left" { zdtm timer; }
