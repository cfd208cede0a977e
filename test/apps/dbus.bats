# A message bus and who is on it.
load ../zdtm/lib/zdtm

setup() {
	command -v dbus-daemon >/dev/null && command -v dbus-monitor >/dev/null || skip "no dbus"
	fresh_dir
}

# A bus in $dir: its pid is in $bus.
bus_start() {
	(cd "$dir" && exec setsid dbus-daemon --session --nofork --nopidfile --nosyslog --address="unix:path=$dir/bus" \
		</dev/null >bus.out 2>&1 3>&- 4>&-) &
	bus=$!
	disown "$bus"
	within 20 test -S "$dir/bus"
}

signal() {
	dbus-send --bus="unix:path=$dir/bus" --type=signal /crtool "crtool.test.$1" 2>/dev/null 3>&- 4>&-
}

# Whoever listens hears a signal of that name.
heard() {
	signal "$1"
	grep -q "$1" "$dir/out" 2>/dev/null
}

@test "a bus and its listener in one tree: what is sent afterwards is heard" {
	# shellcheck disable=SC2016 # of the inner shell
	start bash -c '
		dbus-daemon --session --nofork --nopidfile --nosyslog --address="unix:path=$PWD/bus" &
		until [ -S bus ]; do sleep 0.05; done
		DBUS_SESSION_BUS_ADDRESS=unix:path=$PWD/bus dbus-monitor --profile &
		wait'
	within 30 heard Before
	busy=yes
	dump_and_restore
	within 30 heard After
}

@test "a listener of a bus outside is refused with the name of the bus; --ext-unix=close ends it" {
	bus_start
	start env DBUS_SESSION_BUS_ADDRESS="unix:path=$dir/bus" dbus-monitor --profile
	within 30 heard Before
	run -4 crtool dump -t "$pid" -D "$(images)"
	[[ $output == *"task $pid (dbus-monitor): fd "*"its other end, pid $bus (dbus-daemon), is outside of the tree; --ext-unix="*close* ]]
	within 30 heard Still
	dump --ext-unix="close"
	crtool restore -d -D "$to"
	finish 20
}
