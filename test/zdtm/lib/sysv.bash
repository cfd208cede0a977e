# For tests whose victims make SysV objects: what these note in the file "sysv" (sysv.h) goes at the end.
teardown() {
	zdtm_teardown
	cat "$BATS_TEST_TMPDIR"/*/sysv 2>/dev/null | while read -r type id; do
		ipcrm "$type" "$id" 2>/dev/null || true
	done
}

# once VICTIM [args]: dumped and restored, where the other ways of zdtm() would show nothing new.
once() {
	park "$@"
	dump_and_restore
	release
}

# dump [OPTIONS]: the victim, to $to, and it is gone.
dump() {
	to=$(images)
	crtool dump "$@" -t "$pid" -D "$to"
	within 5 gone "$pid"
}
