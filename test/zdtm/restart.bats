load lib/zdtm

@test "nanosleep does not see EINTR" {
	zdtm restart nanosleep
}

@test "nanosleep-rem does not see EINTR" {
	zdtm restart nanosleep-rem
}

@test "clock_nanosleep does not see EINTR" {
	zdtm restart clock_nanosleep
}

@test "clock_nanosleep-abs does not see EINTR" {
	zdtm restart clock_nanosleep-abs
}

@test "poll does not see EINTR" {
	zdtm restart poll
}

@test "ppoll does not see EINTR" {
	zdtm restart ppoll
}

@test "select does not see EINTR" {
	zdtm restart select
}

@test "futex does not see EINTR" {
	zdtm restart futex
}

@test "epoll_wait does not see EINTR" {
	zdtm restart epoll_wait
}

@test "semtimedop does not see EINTR" {
	zdtm restart semtimedop
}

@test "mq_timedreceive does not see EINTR" {
	zdtm restart mq_timedreceive
}

@test "sigtimedwait does not see EINTR" {
	zdtm restart sigtimedwait
}

@test "recv does not see EINTR" {
	zdtm restart recv
}

# The kernel continues it by restart_syscall(2), and that is what the second dump sees.
again() {
	local to

	for _ in {1..3}; do
		echo "--- $1"
		park restart "$1"
		to=$(images)
		crtool dump -R -t "$pid" -D "$to/1"
		crtool dump -R -t "$pid" -D "$to/2"
		crtool dump -t "$pid" -D "$to/3"
		within 5 gone "$pid"
		crtool restore -d -D "$to/3"
		sleep 0.2
		release
	done
}

@test "nanosleep, interrupted before, does not see EINTR" { again nanosleep; }

@test "clock_nanosleep, interrupted before, does not see EINTR" { again clock_nanosleep; }

@test "poll, interrupted before, does not see EINTR" { again poll; }

@test "futex, interrupted before, does not see EINTR" { again futex; }

# Parked after half of the time; its end is waited for longer than release() does.
all_in_time() {
	touch "$dir/release"
	finish 60
	cat "$dir/out"
	[ "$(cat "$dir/result" 2>/dev/null)" = pass ] || explain "it did not pass"
}

@test "calls that the kernel restarts wait as long as was asked for in all, however often they are dumped" {
	park restart_total
	for _ in {1..3}; do
		dump_running
	done
	all_in_time
}

@test "after a restore no call comes back early" {
	busy=yes
	park restart_total restored
	dump_running
	dump_and_restore
	dump_and_restore
	all_in_time
}
