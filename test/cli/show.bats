load ../zdtm/lib/zdtm

@test "show of a directory without a manifest: no checkpoint, 6" {
	run -6 --separate-stderr crtool show -D "$(images)"
	[[ $stderr == "crtool: error: "*"manifest"* ]]
}

@test "show of a directory that is not there: 6" {
	run -6 --separate-stderr crtool show -D "$BATS_TEST_TMPDIR/none" --json
	[[ $output == '{"result":"error","code":6,"error":"'*'","not_carried":[],"facts":{}}' ]]
}
