# Refusals: the message, the exit code, the target running on, nothing left behind.
#
#	load ../zdtm/lib/zdtm
#	load lib/refuse
#
#	park park
#	refused 4 "task $pid (park): is a kernel thread" [dump options]
#	release

# says CODE MESSAGE COMMAND...: it ends with CODE; its last line says MESSAGE (a pattern), and no line but it.
says() {
	local code=$1 message=$2

	shift 2
	run "-$code" --separate-stderr "$@"
	echo "$stderr"
	# shellcheck disable=SC2053 # a pattern
	[[ $stderr == "crtool: error: "$message ]] || explain "expected: crtool: error: $message"
	[ "${#stderr_lines[@]}" = 1 ]
	[ -z "$output" ]
}

# A dump of $pid that is refused, before or after an image directory was made for it.
refused() {
	local code=$1 message=$2 to=$BATS_TEST_TMPDIR/refused

	shift 2
	mkdir "$to"
	says "$code" "$message" crtool dump -t "$pid" -D "$to" "$@"
	rmdir "$to"
	says "$code" "$message" crtool dump -t "$pid" -D "$to" "$@"
	[ ! -e "$to" ]
	[ ! -e "/proc/$pid/status" ] || untraced
}

# As if nobody had been there.
untraced() {
	[ -z "$(grep -hE '^(TracerPid:.[1-9]|State:.[tT])' "/proc/$pid/task/"*/status)" ] ||
		explain "it is traced or stopped"
}

# flip FILE OFFSET: turn over the lowest bit of a byte.
flip() {
	local byte

	byte=$(od -An -tu1 -j "$2" -N 1 "$1")
	# shellcheck disable=SC2059 # the byte itself
	printf "\\$(printf %o $((byte ^ 1)))" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}
