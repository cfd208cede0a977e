load ../zdtm/lib/zdtm

@test "show of a directory without a manifest: no checkpoint, 6" {
	run -6 --separate-stderr crtool show -D "$(images)"
	[[ $stderr == "crtool: error: "*"manifest"* ]]
}

@test "show of a directory that is not there: 6" {
	run -6 --separate-stderr crtool show -D "$BATS_TEST_TMPDIR/none" --json
	[[ $output == '{"result":"error","code":6,"error":"'*'","not_carried":[],"facts":{}}' ]]
}

@test "who only reads and writes images has no network, no other program and few capabilities" {
	local command status

	for command in show unpack; do
		fresh_dir
		mkfifo "$dir/stream"
		if [ $command = show ]; then
			"$BUILD/crtool" show -D - <>"$dir/stream" >/dev/null 2>&1 3>&- 4>&- &
		else
			"$BUILD/crtool" unpack -D "$dir/new" <>"$dir/stream" >/dev/null 2>&1 3>&- 4>&- &
		fi
		pid=$!
		within 20 grep -q '^Seccomp:.2' "/proc/$pid/status"
		grep -q '^NoNewPrivs:.1' "/proc/$pid/status"
		status=$(sed -n 's/^CapEff:.//p' "/proc/$pid/status")
		kill "$pid"
		wait "$pid" || true
		# CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER
		((!(0x$status & ~0xe)))
	done
}
