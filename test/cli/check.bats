load ../zdtm/lib/zdtm

@test "check tries the kernel and prints one line for each ability" {
	run -0 --separate-stderr crtool check
	[ -z "$stderr" ]
	[ "${#lines[@]}" -ge 15 ]
	for line in "${lines[@]}"; do
		[[ $line == *" ok" || $line == *" missing ("* ]]
	done
}

@test "check --json says the same to machines" {
	run -0 --separate-stderr crtool check --json
	python3 -c 'import json, sys
report = json.loads(sys.argv[1])
assert report["result"] == "ok" and report["code"] == 0
assert all(c["ok"] or c["cost"] for c in report["checks"])' "$output"
}

@test "check without the rights to restore and without user namespaces says so" {
	[ "$(id -u)" = 0 ] || skip "not root"
	unshare -U --map-root-user true || skip "no user namespaces here"
	run ! --separate-stderr unshare -U --map-root-user sh -c 'echo 0 >/proc/sys/user/max_user_namespaces &&
		exec setpriv --bounding-set=-all "$1" check' sh "$BUILD/crtool"
	[[ $stderr == "crtool: error: pids by choice: restore cannot give pids back: "* ]]
}

# lacks CAPABILITY VICTIM [args]: with few rights the check names it, and so does the dump, before it stops anything.
lacks() {
	local few=-all,+checkpoint_restore,+sys_ptrace name=$1 command

	shift
	park "$@"
	for command in check "dump --fail-at look -D $(images)"; do
		# shellcheck disable=SC2086 # words
		run -5 setpriv --inh-caps=-all --bounding-set="$few" "$BUILD/crtool" $command -t "$pid" 3>&- 4>&-
		[[ $output == *"task $pid ($(<"/proc/$pid/comm")): "*"$name"* ]] || explain "$command says $output"
	done
	running "$pid"
	release
}

@test "check of a process names the capability that it lacks for that" {
	[ "$(id -u)" = 0 ] || skip "not root"
	umask 0
	lacks CAP_SYS_ADMIN seccomp own
	lacks CAP_DAC_READ_SEARCH inotify
	inside=(setpriv --reuid=54321 --regid=54321 --clear-groups --inh-caps=-all)
	lacks CAP_DAC_OVERRIDE eventfd
}
