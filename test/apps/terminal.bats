load lib/apps

# At rest: all that can be read of them is compared.
busy=''

# Press keys in the terminal of programs/terminal.py (its own escapes of printf).
keys() {
	n=$((n + 1))
	printf '%b' "$1" >"$dir/keys.tmp"
	mv "$dir/keys.tmp" "$dir/keys.$n"
}

# What was shown since the last look has this text by now.
shows() {
	tail -c "+$((seen + 1))" "$dir/screen" | grep -qF -- "$1"
}

expect() {
	local text

	for text; do
		within 20 shows "$text" || { tail -c "+$((seen + 1))" "$dir/screen"; explain "the terminal does not show $text"; }
	done
	seen=$(stat -c %s "$dir/screen")
}

# Ctrl-C ends what runs in the foreground; what it flushes with the input is pressed again.
interrupted() {
	keys '\x03'
	sleep 1
	shows '# '
}

# interrupted_soon: or who does what.
interrupted_soon() {
	within 20 interrupted && return
	ps -eo pid,ppid,pgid,sid,tpgid,stat,wchan:24,args | grep -E 'bash --norc|terminal.py|cat$|sleep 100[12]' || true
	tail -c 400 "$dir/screen" | cat -v
	explain "Ctrl-C is not heard"
}

on_terminal() {
	n=0 seen=0
	fresh_dir
	start env --default-signal=INT,QUIT HISTFILE= python3 "$PROGRAMS/terminal.py" "$@"
	within 20 test -e "$dir/screen"
}

# Both ways: it runs on, and it is restored.
carry_twice() {
	dump_running
	dump_and_restore
	dump_and_restore
}

@test "bash on a terminal: a job in the foreground, one stopped, one in the background" {
	needs python3
	on_terminal bash --norc --noprofile -i
	expect '# '
	keys 'sleep 1001\r'
	expect 'sleep 1001'
	within 20 pgrep -f 'sleep 1001' >/dev/null
	keys '\x1a'
	expect 'Stopped'
	keys 'sleep 1002 &\r'
	expect '# '
	keys 'cat\r'
	expect 'cat'
	keys 'line\r'
	expect 'line'
	carry_twice
	keys 'again\r'
	expect 'again'
	interrupted_soon
	expect '# '
	keys 'jobs\r'
	expect 'Stopped                 sleep 1001' 'Running                 sleep 1002'
	keys 'fg %1\r'
	expect 'sleep 1001'
	carry_twice
	keys '\x1a'
	expect 'Stopped'
	keys 'size 40 100'
	# shellcheck disable=SC2016 # for the shell that is typed to
	keys 'kill -9 %1 %2; shopt -s checkwinsize; (:); echo $LINES-$COLUMNS\r'
	expect '40-100'
	keys 'exit\r'
	keys 'exit\r'
	finish 20
}

@test "vim on a terminal keeps its buffer and writes it" {
	needs python3 vi
	on_terminal vi -u NONE -n file
	expect 'file'
	keys 'ihello from before\r'
	expect 'before'
	carry_twice
	keys 'and after\x1b:wq\r'
	finish 20
	[ "$(cat "$dir/file")" = $'hello from before\nand after' ]
}

@test "the shell of a terminal alone is refused, and who has the terminal is said" {
	local shell

	needs python3
	on_terminal bash --norc --noprofile -i
	expect '# '
	read -r shell <"/proc/$pid/task/$pid/children" || true # no newline
	run -4 crtool dump -t "${shell% }" -D "$(images)"
	[[ $output == *"/dev/pts/"*", whose master task $pid (python3) has"* ]]
	running "${shell% }"
}

# A session of script(1): the pair, both its ends, the recorder and what it records.
@test "script(1) records a shell on a terminal of its own" {
	busy=yes
	needs script
	fresh_dir
	# shellcheck disable=SC2016
	start script -qfc 'i=0; while [ ! -e end ]; do echo "line $i"; i=$((i + 1)); sleep 0.02; done; tty; echo "the end"' record
	within 20 lines record 20
	dump_running
	for _ in 1 2; do
		dump_and_restore
		within 20 lines record $(($(wc -l <"$dir/record") + 10))
	done
	touch "$dir/end"
	finish 20
	[ ! -s "$dir/err" ] || explain "it complains"
	tr -d '\r' <"$dir/record" | grep '^line' >"$dir/lines"
	[ "$(cat "$dir/lines")" = "$(seq -f 'line %g' 0 $(($(wc -l <"$dir/lines") - 1)))" ]
	grep -q '^/dev/pts/' "$dir/record"
	grep -q '^the end' "$dir/record"
}
