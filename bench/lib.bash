# shellcheck shell=bash
# What benches that count the system calls of crtool have in common: a victim in Python, with nothing
# open but /dev/null, if need be in a network namespace of its own. Sourced at the top of the
# tree; whatever was started, and $work, is gone at the end, however that comes.

crtool=$PWD/${B:-build}/crtool
work=$(mktemp -d)
pid='' netns='' started=()

clean() {
	[ ${#started[@]} -eq 0 ] || kill -KILL "${started[@]}" 2>/dev/null
	[ -z "$pid" ] || kill -KILL "$pid" 2>/dev/null
	rm -rf "$work"
}
trap clean EXIT
chmod 700 "$work"

skip() {
	echo "skipped: $1"
	exit 0
}

command -v strace >/dev/null || skip "there is no strace"

# own_network: victims and inside() are in a new network namespace from here on.
own_network() {
	unshare -n true 2>/dev/null || skip "no network namespace is to be had"
	unshare -n sleep 10000 </dev/null >/dev/null 2>&1 &
	netns=$!
	started+=("$netns")
	disown "$netns"
	until [ "$(readlink "/proc/$netns/ns/net")" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.01; done
	inside ip link set lo up
}

inside() {
	if [ -n "$netns" ]; then
		nsenter -t "$netns" -n "$@"
	else
		"$@"
	fi
}

# victim FILE PROGRAM ARGS...: run in $work/run, in a session of its own, until it has made FILE there;
# its number in $pid. bash reaps it without a word.
victim() {
	local file=$1 program=$2

	shift 2
	mkdir -p "$work/run" "$work/images"
	(
		cd "$work/run" || exit 1
		for fd in /proc/self/fd/*; do
			fd=${fd##*/}
			[ "$fd" -lt 3 ] || eval "exec $fd>&-"
		done
		exec setsid ${netns:+nsenter -t "$netns" -n} /usr/bin/python3 -c "$program" "$@" \
			</dev/null >/dev/null 2>&1
	) &
	pid=$!
	started+=("$pid")
	disown "$pid"
	until [ -e "$work/run/$file" ]; do
		kill -0 "$pid" 2>/dev/null || return 1
		sleep 0.01
	done
}

# ended PID...: kill them, and wait until their numbers are free.
ended() {
	kill -KILL "$@" 2>/dev/null
	for p; do
		for ((i = 0; i < 500; i++)); do
			[ -e "/proc/$p" ] || break
			sleep 0.01
		done
	done
}

# forget: the next victim finds nothing of this one.
forget() {
	pid='' started=(${netns:+"$netns"})
	rm -rf "$work/run" "$work/images"
}

# calls [-f] COMMAND...: how many system calls it makes; -f: with its threads.
calls() {
	inside strace -qq -c -o "$work/calls" "$@" >/dev/null || return 1
	awk '$NF == "total" { print $4 }' "$work/calls"
}

# frozen: of the output of a dump with --json, how long the target stood still, in us.
frozen() {
	grep -o '"frozen_us":[0-9]*' | cut -d: -f2
}

# ms_of COMMAND...: how long it takes, in ms; what it says is in $work/out.
ms_of() {
	local begun

	begun=$(date +%s%N)
	inside "$@" >"$work/out" || return 1
	echo $((($(date +%s%N) - begun) / 1000000))
}
