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
