load ../zdtm/lib/zdtm

@test "restore --report lists what the dump let go, and nothing else" {
	local to

	park creds keyring
	dump
	run -0 crtool restore -d -D "$to"
	[[ $output != *"not carried"* ]]
	release
	park creds keyring
	dump
	run -0 crtool restore -d -D "$to" --report
	[[ $output == *"not carried: "*"its process keyring"* ]]
	[ "$(grep -c "not carried" <<<"$output")" = "$(crtool show --json -D "$to" | grep -o '"losses":\[[^]]*\]' | grep -o "task " | wc -l)" ]
	release
}

@test "restore --report of a whole checkpoint says nothing" {
	local to

	park eventfd
	dump
	run -0 crtool restore -d -D "$to" --report
	[[ $output != *"not carried"* ]]
	release
}

@test "the manual lists each difference that the tests accept between a tree and what comes back" {
	local group line

	while IFS= read -r line; do
		group=$(sed -n 's/^\.It //p' "$ROOT/doc/crtool.8" | while IFS= read -r g; do [[ $line != "$g "* ]] || echo "$g"; done | tail -n 1)
		[ "$group" ] && grep -qxF -- "${line#"$group" }" "$ROOT/doc/crtool.8" || explain "not in the manual: $line"
	done < <("$ROOT/test/fidelity" --accepted)
}
