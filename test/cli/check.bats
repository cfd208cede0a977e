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

@test "check without the rights to restore says so and ends with 5" {
	[ "$(id -u)" = 0 ] || skip "not root"
	run -5 --separate-stderr setpriv --reuid=65534 --clear-groups "$BUILD/crtool" check
	[[ $stderr == "crtool: error: clone3 set_tid: "* ]]
}
