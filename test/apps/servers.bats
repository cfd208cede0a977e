load lib/apps

@test "a master with four workers over socket pairs, some of which it replaces" {
	begin() {
		start python3 "$PROGRAMS/prefork.py"
		within 20 lines out 2
	}
	carry dump_and_restore_twice dump_running
}

@test "a daemon that has forked twice, with its own child" {
	begin() {
		start python3 -c 'import os, time
if os.fork(): os._exit(0)
os.setsid()
if os.fork(): os._exit(0)
open("daemon", "w").write(str(os.getpid()))
if os.fork() == 0:
	os.execlp("sh", "sh", "-c", "until [ -e go ]; do sleep 0.05; done; echo the child of a daemon")
print(os.wait()[1], os.getpid() != os.getsid(0))'
		within 20 test -s "$dir/daemon"
		pid=$(cat "$dir/daemon")
		within 20 children 1
	}
	end() {
		touch "$dir/go"
		finish 20
	}
	carry dump_and_restore_twice dump_running
}

@test "tail -f waits for a file to grow, by inotify" {
	begin() {
		echo 1 >"$dir/log"
		start tail -f "$dir/log"
		within 20 lines out 1
	}
	end() {
		local n

		for n in 2 3 4; do
			echo "$n" >>"$dir/log"
			within 20 lines out "$n" || explain "it does not notice"
		done
		kill "$pid"
		finish 20
	}
	carry dump_and_restore_twice dump_running
}
