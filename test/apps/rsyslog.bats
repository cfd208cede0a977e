load lib/apps

told=0

# Programs that log: five messages each time.
log() {
	for _ in 1 2 3 4 5; do
		logger -d -u "$dir/socket" "message $told"
		told=$((told + 1))
	done
}

has_closed() {
	! readlink /proc/"$pid"/fd/* | grep -qxF "$1"
}

@test "rsyslogd: a socket that others log to, files that grow and are rotated" {
	needs rsyslogd
	needs logger
	fresh_dir
	cat >"$dir/conf" <<-EOF
		global(workDirectory="$dir")
		module(load="imuxsock" SysSock.Use="off")
		input(type="imuxsock" Socket="$dir/socket" UseSysTimeStamp="off" RateLimit.Interval="0")
		template(name="bare" type="string" string="%msg%\n")
		action(type="omfile" file="$dir/messages" template="bare")
		action(type="omfile" file="$dir/full" asyncWriting="on" flushInterval="1")
	EOF
	start rsyslogd -n -f "$dir/conf" -i "$dir/pid"
	within 20 test -S "$dir/socket"
	log
	within 20 lines messages 5
	dump_running
	log
	dump_and_restore
	log
	dump_and_restore
	log
	within 20 lines messages 20
	mv "$dir/messages" "$dir/messages.1"
	kill -HUP "$pid"
	within 20 has_closed "$dir/messages.1" # what comes before that is still for it
	log
	within 20 lines messages 5
	dump_and_restore
	log
	within 20 lines messages 10
	kill "$pid"
	finish 20
	[ ! -s "$dir/err" ] || explain "it complains"
	[ "$(sed 's/^ *//' "$dir"/messages.1 "$dir/messages")" = "$(seq -f 'message %g' 0 $((told - 1)))" ]
	[ "$(grep -c 'message [0-9]' "$dir/full")" = "$told" ]
}
