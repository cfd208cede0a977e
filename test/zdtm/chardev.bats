load lib/zdtm

@test "null, zero, full, random and urandom are what they were" {
	zdtm chardev
}

has_tun() {
	: 2>/dev/null <>/dev/net/tun || skip "this kernel has no tun"
}

@test "a tun that nothing was done with yet" {
	has_tun
	zdtm chardev tun
}

@test "a tun that is an interface is refused, naming it" {
	has_tun
	park chardev tap
	run -4 crtool dump -t "$pid" -D "$(images)"
	[[ $output == *": /dev/net/tun: is the network interface tap"*": not supported by this version"* ]]
	running "$pid"
	release
	park chardev tap
	to=$(images)
	crtool dump -t "$pid" -D "$to" --on-unknown-fd='null:/dev/net/tun'
	run -0 crtool restore -d -D "$to"
	[ "$(readlink "/proc/$pid/fd/8")" = /dev/null ]
	release
	park chardev tap
	dump --on-unknown-fd='close:/dev/net/tun'
	crtool restore -d -D "$to"
	[ ! -e "/proc/$pid/fd/8" ]
	release
}
