# Where what is said goes, how far work is, and how a restore that stays ends.
load ../zdtm/lib/zdtm
load ../fault/lib/refuse

@test "-v tells the story, twice all details, on stderr; nothing goes to stdout" {
	local said

	park park
	run -0 --separate-stderr crtool dump -R -v -t "$pid" -D "$(images)"
	[ -z "$output" ]
	said=${#stderr_lines[@]}
	((said > 0))
	run -0 --separate-stderr crtool dump -R -vv -t "$pid" -D "$(images)"
	((${#stderr_lines[@]} > said))
	run -0 --separate-stderr crtool dump -R -v0 -t "$pid" -D "$(images)"
	[ -z "$output$stderr" ]
	release
}

@test "-o and --pidfile are relative to -W; the last line of a failure is in both places" {
	local to

	park park
	to=$(images)
	mkdir "$dir/work"
	(umask 0 && crtool dump -v -W "$dir/work" -o log -t "$pid" -D "$to" >"$dir/said" 2>&1)
	[ ! -s "$dir/said" ]
	[ "$(stat -c %a "$dir/work/log")" = 600 ]
	grep -q frozen "$dir/work/log"
	[ ! -e "$to/log" ]
	within 5 gone "$pid"
	crtool restore -d -W "$dir/work" -o log2 --pidfile pid -D "$to"
	[ "$(cat "$dir/work/pid")" = "$pid" ]
	[ -e "$dir/work/log2" ]
	run -8 --separate-stderr crtool restore -d -W "$dir/work" -o log3 -D "$to"
	[[ $stderr == "crtool: error: pid $pid is in use"* ]]
	[ "$(tail -n 1 "$dir/work/log3")" = "$stderr" ]
	release
	says 6 "log file $dir/nowhere/log: No such file or directory" crtool dump -W "$dir/nowhere" -o log -t 1
}

@test "--json tells the result of a dump and of a restore" {
	local to

	park park
	to=$(images)
	run -0 --separate-stderr crtool dump --json -t "$pid" -D "$to"
	[ -z "$stderr" ]
	python3 -c 'import json, sys
r = json.loads(sys.argv[1])
assert r["result"] == "ok" and r["code"] == 0 and r["not_carried"] == []
assert r["facts"]["frozen_us"] > 0' "$output"
	within 5 gone "$pid"
	run -0 --separate-stderr crtool restore --json -d -D "$to"
	python3 -c 'import json, sys
assert json.loads(sys.argv[1])["code"] == 0' "$output"
	run -8 --separate-stderr crtool restore --json -d -D "$to"
	python3 -c 'import json, sys
r = json.loads(sys.argv[1])
assert r["result"] == "error" and r["code"] == 8 and "is in use" in r["error"]' "$output"
	release
}

@test "show prints each task, its threads and files as text, and as JSON" {
	local to

	park thread
	to=$(images)
	crtool dump -R -t "$pid" -D "$to"
	run -0 --separate-stderr crtool show -D "$to"
	[ -z "$stderr" ]
	[[ $output == *"$pid"* && $output == *"/dev/null"* && $output == *"/test/zdtm/thread"* ]]
	run -0 --separate-stderr crtool show --json -D "$to"
	python3 -c 'import json, sys
records = json.load(sys.stdin)["records"]
assert sum(r["kind"] == "thread" for r in records) == 42
assert [r["owner"] for r in records if r["kind"] == "task"] == [int(sys.argv[1])]' "$pid" <<<"$output"
	release
}

# ---- progress ----

# On a terminal: what that shows, a line for each time that one is begun, is in the file shown.
on_terminal() {
	script -qec "$1" "$dir/screen" </dev/null >/dev/null 2>&1 3>&- 4>&- || true
	tr '\r' '\n' <"$dir/screen" >"$dir/shown"
	cat "$dir/shown"
}

@test "on a terminal a dump of more than a second shows how far it is, and wipes that out" {
	park memory_large
	on_terminal "$BUILD/crtool dump -R -t $pid -D - | (sleep 3; cat >$dir/stream)"
	grep -qE 'crtool: dump: [0-9]+ of [0-9]+ MiB, [0-9]+ %' "$dir/shown"
	[[ $(tail -n 2 "$dir/shown" | head -n 1) != *"MiB"* ]]
	crtool show -D - <"$dir/stream" >/dev/null
	release
}

@test "on a terminal a restore of more than a second shows how far it is" {
	park memory_large
	dump
	on_terminal "$BUILD/crtool restore -d --timeout 3 --fail-at hang:0 -D $to"
	grep -qE 'crtool: restore: [0-9]+ of [0-9]+ MiB, [0-9]+ %' "$dir/shown"
	grep -q 'crtool: error: ' "$dir/shown"
	within 20 gone "$pid"
	crtool restore -d -D "$to"
	release
}

@test "what takes less than a second shows nothing on a terminal" {
	park park
	on_terminal "$BUILD/crtool dump -R --no-sync -t $pid -D $dir/to"
	run ! grep crtool: "$dir/shown"
	release
}

# ---- afterwards ----

all_stopped() {
	! grep -hE '^State:' "/proc/$pid/task"/*/status | grep -qv 'T (stopped)'
}

@test "-s leaves the tree stopped, as by SIGSTOP, and SIGCONT lets it go on" {
	local to

	park fault/steady mix 5
	to=$(images)
	crtool dump -s -t "$pid" -D "$to"
	within 5 all_stopped
	grep -q '^TracerPid:.0' "/proc/$pid/status"
	kill -CONT "$pid"
	within 5 running "$pid"
	crtool dump -s -t "$pid" -D "$(images)"
	within 5 all_stopped
	kill -KILL "$pid"
	within 5 gone "$pid"
	crtool restore -d -D "$to"
	running "$pid"
	release
}

@test "a restore that stays ends with the exit code of the root, or 128 and its signal" {
	local to status=0

	park park
	dump
	touch "$dir/release"
	run -0 crtool restore -D "$to"
	[ "$(cat "$dir/result")" = pass ]
	park park fail
	dump
	touch "$dir/release"
	run -1 crtool restore -D "$to"
	park park
	dump
	crtool restore -D "$to" --pidfile "$dir/pid" 3>&- 4>&- &
	within 20 test -s "$dir/pid"
	alive "$!"
	kill -TERM "$pid"
	wait "$!" || status=$?
	[ "$status" = 143 ]
}

@test "check -t stops nobody" {
	[ -n "$(command -v strace)" ] || skip "no strace"
	park fault/steady mix 5
	strace -f -o "$dir/calls" -e trace=ptrace,kill,tgkill,tkill,pidfd_send_signal,rt_tgsigqueueinfo \
		"$BUILD/crtool" check -t "$pid" 3>&- 4>&-
	run ! grep -E "^[0-9]+ +[a-z_]+\(" "$dir/calls"
	release
}
