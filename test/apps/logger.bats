load lib/apps

begin() {
	start python3 "$PROGRAMS/logger.py"
	within 20 lines shared 200
}

# It ends, and no line is missing or there twice, in either log.
complete() {
	local n

	touch "$dir/end"
	finish 20
	[ ! -s "$dir/err" ] || explain "it complains"
	n=$(sed -n 's/^total //p' "$dir/out")
	[ "$n" -gt 200 ]
	[ "$(cat "$dir"/log* | sort | cut -d' ' -f1)" = "$(seq -f %06g 0 $((n - 1)))" ]
	[ "$(grep -v other "$dir/shared")" = "$(seq -f %06g 0 $((n - 1)))" ]
}

@test "a daemon with growing logs, one of them rotated" {
	needs python3
	fresh_dir
	begin
	for _ in 1 2 3; do
		dump_and_restore
		sleep 0.05
	done
	complete
}

@test "a log that others appended to meanwhile needs a policy, and then goes on behind that" {
	local to

	needs python3
	fresh_dir
	begin
	to=$(images)
	crtool dump -t "$pid" -D "$to"
	within 5 gone "$pid"
	echo other >>"$dir/shared"
	run -4 crtool restore -d -D "$to"
	[[ $output == *"file $dir/shared: grew by 6 bytes since the dump"*"--file-policy=append"* ]]
	crtool restore -d -D "$to" --file-policy=append
	within 20 lines shared 300
	complete
	grep -qx other "$dir/shared"
}
