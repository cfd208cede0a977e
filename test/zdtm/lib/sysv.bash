# For tests whose victims make SysV objects: what these note in the file "sysv" (sysv.h) goes at the end.
sysv_teardown() {
	zdtm_teardown
	cat "$BATS_TEST_TMPDIR"/*/sysv 2>/dev/null | while read -r type id; do
		ipcrm "$type" "$id" 2>/dev/null || true
	done
}

teardown() {
	sysv_teardown
}
