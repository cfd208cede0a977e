# Places where images cannot be: the reason is said, the target runs on.
load ../zdtm/lib/zdtm
load lib/refuse

# place CODE MESSAGE DIR
place() {
	says "$1" "$2" crtool dump -t "$pid" -D "$3"
	untraced
	release
}

# A tmpfs with OPTIONS at $at, while the test runs; its own mount namespace ends with it.
tmpfs() {
	at=$BATS_TEST_TMPDIR/tmpfs
	mkdir "$at"
	mount -t tmpfs -o "$1" none "$at" || skip "may not mount"
}

teardown() {
	zdtm_teardown
	umount "$BATS_TEST_TMPDIR/tmpfs" 2>/dev/null || true
}

@test "no parent directory" {
	park park
	place 6 "image directory $dir/a/b: what it should be in is not there; make that first: No such file or directory" "$dir/a/b"
	[ ! -e "$dir/a" ]
}

@test "a file" {
	park park
	touch "$dir/file"
	place 6 "image directory $dir/file: Not a directory" "$dir/file"
}

@test "a directory with other files" {
	local to

	park park
	to=$(images)
	touch "$to/mine"
	place 8 "checkpoint $to: mine: the directory is in use, give an empty one: Directory not empty" "$to"
	[ "$(ls "$to")" = mine ]
}

@test "a directory with a checkpoint, which stays whole" {
	local to before

	park park
	to=$(images)
	crtool dump -R -t "$pid" -D "$to"
	before=$(cd "$to" && sha256sum ./*)
	place 8 "checkpoint $to: manifest.img: the directory holds a checkpoint already, give another one: File exists" "$to"
	[ "$before" = "$(cd "$to" && sha256sum ./*)" ]
}

@test "a directory into which another dump writes" {
	local to

	park park
	to=$(images)
	exec 8<"$to"
	flock -x 8
	place 8 "checkpoint $to: state.img: another crtool writes into the directory" "$to"
	exec 8>&-
}

@test "a read-only file system" {
	park park
	tmpfs ro
	place 7 "checkpoint $at: state.img: create: Read-only file system" "$at"
}

@test "a read-only file system without the directory" {
	park park
	tmpfs ro
	place 7 "image directory $at/new: Read-only file system" "$at/new"
}

@test "a full disk" {
	park fault/steady compute 3
	tmpfs size=64k
	place 7 "checkpoint $at: *: write: No space left on device" "$at"
	[ -z "$(ls "$at")" ]
}

@test "no inode left" {
	park park
	tmpfs nr_inodes=1
	place 7 "checkpoint $at: state.img: create: No space left on device" "$at"
}

@test "a file size limit" {
	park park
	says 7 "checkpoint *: *: write: File too large; the size of files is limited: raise that (ulimit -f)" \
		bash -c "ulimit -f 8; exec '$BUILD/crtool' dump -t $pid -D '$dir/to'"
	[ ! -e "$dir/to" ]
	untraced
	release
}

@test "a directory of another user" {
	[ "$(id -u)" = 0 ] || skip "not root"
	park park
	mkdir -m 755 "$dir/root"
	says 5 "checkpoint $dir/root: state.img: create: Permission denied" \
		setpriv --reuid=65534 --clear-groups --inh-caps=+sys_ptrace --ambient-caps=+sys_ptrace \
		"$BUILD/crtool" dump -t "$pid" -D "$dir/root"
	untraced
	release
}
