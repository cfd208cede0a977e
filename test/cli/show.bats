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

# What it does before it opens the first image: without that, nothing that a forged one makes it do is held up.
@test "each command that only reads and writes images is confined before it looks at one" {
	local command confined looked

	strace -V >/dev/null 2>&1 || skip "no strace"
	park memory rw
	crtool pre-dump -t "$pid" -D "$dir/1"
	crtool dump -t "$pid" -D "$dir/2" --prev-images-dir ../1
	crtool pack -D "$dir/2" >"$dir/stream"
	for command in show pack dedup squash unpack; do
		set -- -D "$dir/2"
		[ $command != unpack ] || set -- -D "$dir/3"
		strace -f -qq -o "$dir/calls" -e trace=prctl,openat,read,capset "$BUILD/crtool" "$command" "$@" <"$dir/stream" >/dev/null 3>&- 4>&-
		confined=$(grep -n 'PR_SET_SECCOMP, SECCOMP_MODE_FILTER' "$dir/calls" | head -n 1 | cut -d : -f 1)
		looked=$(grep -nE 'manifest\.img|state\.img|pages-0|read\(0' "$dir/calls" | head -n 1 | cut -d : -f 1)
		echo "$command: $confined $looked"
		[ "$confined" ]
		[ "$looked" ]
		((confined < looked))
		grep -q 'capset(' "$dir/calls"
	done
}

@test "show to who has read enough ends as others do then, without a word: 141" {
	local how status

	park memory rw
	crtool dump -t "$pid" -D "$dir/1"
	mkfifo "$dir/pipe"
	exec 7<>"$dir/pipe" 8>"$dir/pipe" 7>&-
	for how in "" --json; do
		status=0
		# shellcheck disable=SC2086
		crtool show $how -D "$dir/1" >&8 2>"$dir/said" || status=$?
		[ $status = 141 ]
		[ ! -s "$dir/said" ]
	done
	exec 8>&-
}
