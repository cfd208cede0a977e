# For victims that run on overlayfs.

# The directory that the victim runs in is on an overlay.
overlay() {
	local top=$BATS_TEST_TMPDIR/overlay

	mkdir -p "$top"/{lower,upper,all}
	mount -t tmpfs crtool-test "$top/upper" 2>/dev/null || skip "nothing can be mounted here"
	mkdir "$top"/upper/{upper,work}
	mount -t overlay -o "lowerdir=$top/lower,upperdir=$top/upper/upper,workdir=$top/upper/work" \
		crtool-test "$top/all" 2>/dev/null || skip "there is no overlayfs"
	fresh_dir
	mount --bind "$top/all" "$dir"
}

overlay_teardown() {
	local at

	zdtm_teardown
	for at in "$BATS_TEST_TMPDIR"/*/all "$BATS_TEST_TMPDIR/1" "$BATS_TEST_TMPDIR"/*/upper; do
		! mountpoint -q "$at" || umount "$at"
	done
}

teardown() {
	overlay_teardown
}
