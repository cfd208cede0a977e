load lib/apps

# A mount namespace of its own, in which cron finds nothing of the machine's: $holder keeps it.
own_places() {
	local place

	unshare -m true 2>/dev/null || skip "no mount namespaces here"
	fresh_dir
	mkdir -p "$dir"/{run,empty,spool/crontabs}
	: >"$dir/crontab"
	unshare -m --propagation private sleep 1000 </dev/null >/dev/null 2>&1 3>&- 4>&- &
	holder=$!
	disown "$holder"
	within 10 other_place
	for place in run:/run spool:/var/spool/cron empty:/etc/cron.d crontab:/etc/crontab; do
		nsenter -t "$holder" -m mount --bind "$dir/${place%:*}" "${place#*:}" || skip "no ${place#*:} here"
	done
	inside=(nsenter -t "$holder" -m)
}

other_place() {
	[ "$(readlink "/proc/$holder/ns/mnt")" != "$(readlink /proc/self/ns/mnt)" ]
}

# All who live there end.
teardown() {
	local ns proc

	[ "${holder-}" ] || return 0
	ns=$(readlink "/proc/$holder/ns/mnt")
	for proc in /proc/[0-9]*; do
		[ "$(readlink "$proc/ns/mnt" 2>/dev/null)" != "$ns" ] || kill -KILL "${proc#/proc/}" 2>/dev/null || true
	done
	zdtm_teardown
}

# It writes the number twice, the second time that of the one who stays, who has a session of his own.
is_in_background() {
	local one

	one=$(cat "$dir/run/crond.pid" 2>/dev/null)
	[ "$one" ] && [ "$(cut -d' ' -f6 "/proc/$one/stat" 2>/dev/null)" = "$one" ] && pid=$one
}

# Whom cron has started and not reaped.
jobs_of_cron() {
	[ -n "$(cat "/proc/$pid/task/$pid/children")" ]
}

no_jobs_of_cron() {
	! jobs_of_cron
}

@test "cron, which has put itself in the background, with a job under way" {
	needs cron
	[ "$(id -u)" = 0 ] || skip "not root"
	own_places
	echo "@reboot cd $dir; touch begun; while [ ! -e go ]; do sleep 0.05; done; echo \$((6 * 7)) >answer" >"$dir/spool/crontabs/root"
	chmod 600 "$dir/spool/crontabs/root"
	start cron
	within 20 is_in_background
	within 20 test -e "$dir/begun"
	jobs_of_cron

	dump_running
	dump_and_restore
	dump_and_restore

	jobs_of_cron
	touch "$dir/go"
	within 20 test -s "$dir/answer"
	[ "$(<"$dir/answer")" = 42 ]
	within 20 no_jobs_of_cron
	running "$pid"
}
