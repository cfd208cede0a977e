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
