# Programs that know nothing of us: started, caught in the middle of their work,
# carried, and compared with a run that nobody disturbed.
#
#	load lib/apps
#
#	begin() { start sort -r "$data"; within 20 bytes out 100000; }
#
#	@test "sort" { needs sort; carry dump_and_restore dump_running; }
#
# begin() starts the program in the empty directory $dir and waits for an event
# that proves it to be in mid-work. What the program leaves in the file out (or
# what results() prints) must then be the same after every way.

# shellcheck source=test/zdtm/lib/zdtm.bash
source "$(dirname "${BASH_SOURCE[0]}")/../../zdtm/lib/zdtm.bash"

busy=yes
PROGRAMS=$ROOT/test/apps/programs

# needs COMMAND...: skip the test if one is not installed.
needs() {
	local command

	for command; do
		command -v "$command" >/dev/null || skip "no $command: scripts/install-deps apps"
	done
}

# bytes FILE N: the file has N bytes by now.
bytes() {
	[ "$(stat -c %s "$dir/$1" 2>/dev/null || echo 0)" -ge "$2" ]
}

# lines FILE N: the file has N lines by now.
lines() {
	[ -e "$dir/$1" ] && [ "$(wc -l <"$dir/$1")" -ge "$2" ]
}

# has_read N: the program has read N bytes of the file that is its descriptor $2 (3).
has_read() {
	local key value pos=0

	while read -r key value; do
		[ "$key" != pos: ] || pos=$value
	done 2>/dev/null <"/proc/$pid/fdinfo/${2:-3}"
	[ "$pos" -ge "$1" ]
}

# children N [PID]: the program has so many children.
children() {
	local list

	read -ra list <"/proc/${2:-$pid}/task/${2:-$pid}/children" || true
	[ "${#list[@]}" -ge "$1" ]
}

# What one run has come to; tests may have their own.
results() {
	sha256sum <"$dir/out"
}

undisturbed() {
	:
}

# What ends the program's work; tests may have their own.
end() {
	finish 100
}

# Start the program, carry it that way, wait for its end; its results are in $came_to.
run_way() {
	fresh_dir
	begin || explain "it did not come to the middle of its work"
	alive "$pid" || explain "it ended before it could be carried"
	"$1"
	end
	[ ! -s "$dir/err" ] || explain "it complains"
	came_to=$(results)
}

# carry WAY...: each way, and what the program comes to is what it comes to undisturbed.
carry() {
	local way expected

	run_way undisturbed
	expected=$came_to
	for way; do
		echo "--- $way:"
		run_way "$way"
		[ "$came_to" = "$expected" ] ||
			explain "it came to $came_to, undisturbed to $expected"
	done
}

dump_and_restore_twice() {
	dump_and_restore
	dump_and_restore
}
