load lib/zdtm

@test "interval timers keep what was left" { zdtm itimer; }

@test "a periodic alarm whose signal is pending goes on" { zdtm itimer pending; }
