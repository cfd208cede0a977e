# --fail-at: a failure after each stage is a failure without a trace.
load ../zdtm/lib/zdtm
load lib/refuse

# Those after which there is no checkpoint.
before_the_seal() {
	stages_of dump | sed '/^seal$/,$d'
}

stages_of() {
	sed -n "/^} stages\[\]/,/^};/p" "$ROOT/$1/$1.c" | grep -oE '\{ "[a-z]+"' | tr -d '{ "'
}

# A dump of VICTIM fails after each stage.
fail_dump() {
	local stage tried=0

	park "$@"
	for stage in $(before_the_seal); do
		echo "--- $stage"
		refused 1 "failed at the end of stage $stage, as asked" -R --fail-at="$stage"
		tried=$((tried + 1))
	done
	[ "$tried" -ge 10 ]
	release
}

@test "a dump that fails after any stage leaves a computation as it was" {
	fail_dump fault/steady compute
}

@test "a dump that fails after any stage leaves a sleeper as it was" {
	fail_dump fault/steady sleep
}

@test "a dump that fails after any stage leaves signal handlers as they were" {
	fail_dump fault/steady handle
}

@test "a dump that fails after any stage leaves forty threads as they were" {
	fail_dump fault/steady mix 40
}

@test "a dump that fails after any stage leaves a stopped program stopped" {
	local stage

	park park
	kill -STOP "$pid"
	within 5 grep -q '^State:.T' "/proc/$pid/status"
	for stage in $(before_the_seal); do
		says 1 "failed at the end of stage $stage, as asked" \
			crtool dump -R -t "$pid" -D "$dir/to" --fail-at="$stage"
		[ ! -e "$dir/to" ]
		within 5 grep -q '^State:.T (stopped)' "/proc/$pid/status" # it stops by itself once it is let go
	done
	kill -CONT "$pid"
	release
}

@test "a dump that fails once it is sealed leaves a whole checkpoint and a target that runs" {
	local to

	park park
	to=$(images)
	says 1 "failed at the end of stage seal, as asked" crtool dump -t "$pid" -D "$to" --fail-at=seal
	untraced
	release
	crtool show -D "$to"
}

@test "a dump that fails at its end has ended the target, and the checkpoint is whole" {
	local to

	park park
	to=$(images)
	says 1 "failed at the end of stage end, as asked" crtool dump -t "$pid" -D "$to" --fail-at=end
	gone "$pid"
	crtool restore -d -D "$to"
	release
}

@test "a restore that fails after any stage leaves no task; a second one works" {
	local to before stage tried=0

	park fault/steady mix 5
	to=$(images)
	crtool dump -t "$pid" -D "$to"
	within 5 gone "$pid"
	before=$(cd "$to" && sha256sum ./*)
	for stage in $(stages_of restore); do
		[ "$stage" != commit ] || continue
		echo "--- $stage"
		says 1 "failed at the end of stage $stage, as asked" \
			crtool restore -d -D "$to" --fail-at="$stage"
		gone "$pid"
		[ "$before" = "$(cd "$to" && sha256sum ./*)" ]
		tried=$((tried + 1))
	done
	[ "$tried" -ge 7 ]
	crtool restore -d -D "$to"
	release
}

@test "an unknown stage is refused" {
	park park
	refused 2 "dump: --fail-at: there is no stage 'nowhere'" --fail-at=nowhere
	says 2 "restore: --fail-at: there is no stage 'nowhere'" crtool restore --fail-at=nowhere
	release
}

@test "a restore that fails leaves the children alone that crtool was started with" {
	local to

	park park
	to=$(images)
	crtool dump -t "$pid" -D "$to"
	bash -c 'sleep 60 3>&- 4>&- & echo $! >"$1"; exec "$2" restore -d --fail-at run -D "$3"' - \
		"$dir/other" "$BUILD/crtool" "$to" 3>&- 4>&- || true
	alive "$(cat "$dir/other")"
	gone "$pid"
	crtool restore -d -D "$to"
	release
	kill "$(cat "$dir/other")"
}
