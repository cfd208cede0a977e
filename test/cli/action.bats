load ../zdtm/lib/zdtm

# Commands that a dump or a restore runs at certain moments.

told() {
	crtool "$@" --action-script "echo \$CRTOOLS_SCRIPT_ACTION \${CRTOOLS_INIT_PID:--} \$CRTOOLS_IMAGE_DIR >>$dir/told; cut -d' ' -f3 /proc/$pid/stat 2>/dev/null | tr R S >>$dir/told; [ -e /proc/$pid ] || echo gone >>$dir/told"
}

@test "a dump and a restore tell what they are at" {
	park park
	to=$(images)
	told dump -t "$pid" -D "$to"
	within 5 gone "$pid"
	told restore -d -D "$to"
	cat "$dir/told"
	diff "$dir/told" - <<-END
		pre-dump $pid $to
		S
		network-lock $pid $to
		t
		post-dump $pid $to
		t
		pre-restore - $to
		gone
		post-restore $pid $to
		t
		network-unlock $pid $to
		t
		pre-resume $pid $to
		t
		post-resume $pid $to
		S
	END
	rm "$dir/told"
	release
}

@test "of a tree that lives on the network is unlocked, also when the dump fails" {
	park park
	to=$(images)
	told dump -R -t "$pid" -D "$to"
	diff <(grep -o '^[a-z]*-[a-z]*' "$dir/told") <(printf '%s\n' pre-dump network-lock network-unlock post-dump)
	rm "$dir/told"
	run -1 told dump -t "$pid" -D "$(images)" --fail-at pages
	diff <(grep -o '^[a-z]*-[a-z]*' "$dir/told") <(printf '%s\n' pre-dump network-lock network-unlock)
	rm "$dir/told"
	running "$pid"
	release
}

# fails AT COMMAND...: one that fails at that moment.
fails() {
	run ! crtool "${@:2}" --action-script "[ \$CRTOOLS_SCRIPT_ACTION != $1 ]" --action-script "echo \$CRTOOLS_SCRIPT_ACTION"
	[[ $output == *"--action-script [ \$CRTOOLS_SCRIPT_ACTION != $1 ]: at $1: ended with status 1"* ]]
}

@test "a command that fails makes the dump fail, the tree runs on" {
	local at

	park park
	for at in pre-dump network-lock post-dump; do
		fails "$at" dump -t "$pid" -D "$(images)"
		running "$pid"
	done
	release
}

@test "a command that fails makes the restore fail, nothing is left" {
	local at

	park park
	to=$(images)
	crtool dump -t "$pid" -D "$to"
	within 5 gone "$pid"
	for at in pre-restore post-restore network-unlock pre-resume; do
		fails "$at" restore -d -D "$to"
		gone "$pid"
	done
	run -0 crtool restore -d -D "$to" --action-script '[ $CRTOOLS_SCRIPT_ACTION != post-resume ]'
	[[ $output == *"at post-resume: ended with status 1"* ]]
	release
}

@test "what a command prints is not in the stream" {
	park park
	crtool dump -t "$pid" -D - --action-script 'echo noise' 2>"$dir/said" >"$BATS_TEST_TMPDIR/stream"
	grep -q noise "$dir/said"
	rm "$dir/said"
	within 5 gone "$pid"
	crtool restore -d -D - <"$BATS_TEST_TMPDIR/stream"
	release
}
