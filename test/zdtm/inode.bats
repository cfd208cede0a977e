load lib/zdtm

# What was made anew has another inode number.
setup() {
	dump_with=(--no-sync)
	accept='\(deleted\)|/#[0-9]|/there/two'
}

@test "a deleted file: descriptors, mappings and a child share one inode, owner, mode, times, attributes" {
	zdtm inode many
}

@test "deleted files keep their names: with (deleted), a newline, taken again, moved before" {
	zdtm inode names
}

@test "O_TMPFILE: the flag, the content, a mapping, and it can still be linked" {
	zdtm inode tmpfile
	zdtm inode tmpfile_written
}

@test "O_TMPFILE with O_EXCL: it can never be linked" {
	park inode tmpfile_excl
	run -0 crtool dump -R -t "$pid" -D "$(images)"
	release
	[[ $output != *"(O_EXCL with O_TMPFILE), which cannot be told"* ]] || skip "this kernel does not show it"
	zdtm inode tmpfile_excl
}

@test "deleted directories: open, worked in, one in the other, and a file that was in it" {
	zdtm inode directory
}

@test "a deleted file in a directory that is a file now" {
	accept+='|/#N' # and one without a name, which is in the directory above then
	zdtm inode replaced
}

@test "a deleted directory that was read to its end" {
	accept+='|pos' # nothing can be read there, wherever it was
	zdtm inode directory_read
}

@test "deleted files keep O_NOFOLLOW where their file system gives handles, as what shm_open(3) opens" {
	zdtm inode nofollow
	mounted tmpfs size=1m
	there nofollow
}

@test "a sparse file stays sparse, and its holes are not stored" {
	local to

	zdtm inode sparse
	park inode sparse
	to=$(images)
	crtool dump -R -t "$pid" -D "$to"
	(($(du -sk "$to" | cut -f1) < 4096))
	release
}

@test "--ghost-limit refuses deleted files that take more, before the freeze" {
	park inode sparse
	run -4 crtool dump -t "$pid" -D "$(images)" --ghost-limit 4K
	[[ $output == *"(inode): fd "*"(deleted): is deleted, and its "*" KiB are more than --ghost-limit allows"* ]]
	running "$pid"
	run -4 crtool check -t "$pid" --ghost-limit 4K
	dump_with=(--ghost-limit 1G)
	dump_and_restore
	release
}

@test "O_PATH of everything that has a name, there and deleted" {
	accept+='|fd.3.flags|^file 4 flags' # O_NOFOLLOW
	zdtm inode path
}

@test "a file that lost its name and has another one elsewhere stays the same" { zdtm inode linked; }

@test "a deleted file that had several names, and is held by each" {
	park inode links
	dump_running
	dump_and_restore
	dump_and_restore # all hold it by one of them now
	release
}

@test "a file that is held by a name that it lost, and by one that it has" {
	accept+='|/there/three' # one of those that it has
	zdtm inode half
}

@test "files of a task with another root are found from ours" { zdtm inode chroot; }

# ---- file systems ----

at=''

# mounted TYPE OPTIONS: a file system at $at until the test ends.
mounted() {
	at=$BATS_TEST_TMPDIR/mounted
	mkdir -p "$at"
	mount -t "$1" -o "$2" none "$at" || skip "may not mount $1"
}

teardown() {
	zdtm_teardown
	[ -z "$at" ] || umount "$at"
}

# there TEST: three rounds in $at.
there() {
	dir=$at/$1
	mkdir "$dir"
	start "$BUILD/test/zdtm/inode" "$1"
	within 20 parked_or_gone
	dump_and_restore_thrice
	release
	[ -z "$(find "$at" -name '.crtool*')" ]
}

@test "deleted files and directories on a tmpfs" {
	mounted tmpfs size=32m
	there many
	there directory
	there linked
}

@test "deleted files on overlayfs, also those of the lower layer" {
	local layers=$BATS_TEST_TMPDIR/layers

	mkdir -p "$layers"/{lower,upper,work}
	mounted overlay "lowerdir=$layers/lower,upperdir=$layers/upper,workdir=$layers/work"
	there many
	there names
	there directory
}

@test "what something else is mounted over is found by its handle" {
	park inode hidden
	at=$dir/over
	mount -t tmpfs none "$at" || skip "may not mount tmpfs"
	dump_and_restore_thrice
	dump_running
	umount "$at"
	at=''
	release
}

@test "a deleted file on a bind mount" {
	mkdir "$BATS_TEST_TMPDIR/elsewhere"
	at=$BATS_TEST_TMPDIR/mounted
	mkdir "$at"
	mount --bind "$BATS_TEST_TMPDIR/elsewhere" "$at" || skip "may not mount"
	there names
}

@test "files and deleted files in a subvolume of btrfs" {
	command -v mkfs.btrfs >/dev/null || skip "no mkfs.btrfs: scripts/install-deps apps"
	truncate -s 120M "$BATS_TEST_TMPDIR/image"
	mkfs.btrfs -q "$BATS_TEST_TMPDIR/image"
	mkdir "$BATS_TEST_TMPDIR/mounted"
	mount -o loop "$BATS_TEST_TMPDIR/image" "$BATS_TEST_TMPDIR/mounted" || skip "may not mount btrfs by a loop device"
	at=$BATS_TEST_TMPDIR/mounted
	btrfs -q subvolume create "$at/sub"
	mkdir "$at/sub/run"
	dir=$at/sub/run
	cp "$BUILD/test/zdtm/inode" "$dir/program"
	start "$dir/program" many
	within 20 parked_or_gone
	dump_and_restore
	release
	rm "$dir"/*
	start "$BUILD/test/zdtm/inode" directory
	within 20 parked_or_gone
	dump_and_restore
	release
}

@test "a name that is lost where there are no handles is found in its directory, else refused" {
	local layers=$BATS_TEST_TMPDIR/layers

	mkdir -p "$layers"/{lower,upper,work}
	mounted overlay "lowerdir=$layers/lower,upperdir=$layers/upper,workdir=$layers/work"
	dir=$at/1
	mkdir "$dir"
	start "$BUILD/test/zdtm/inode" linked
	within 20 parked_or_gone
	run -4 crtool dump -t "$pid" -D "$(images)"
	[[ $output == *"fd 3: $dir/one (deleted): the path leads to another file or none, it has other names"* ]]
	running "$pid"
	ln "$dir/there/two" "$dir/three"
	accept+='|/three'
	dump_and_restore
	release
}

# ---- programs whose files are replaced under them ----

# A victim with a C library of its own.
upgraded() {
	local libc

	libc=$(ldd "$BUILD/test/zdtm/park" | sed -nE 's|.* => (/[^ ]*libc\.so[^ ]*) .*|\1|p')
	fresh_dir
	cp "$BUILD/test/zdtm/park" "$dir/program"
	cp "$libc" "$dir/libc.so.6"
	start env LD_LIBRARY_PATH="$dir" "$dir/program"
	within 20 parked_or_gone
}

still_the_old_ones() {
	[ "$(readlink "/proc/$pid/exe")" = "$dir/program (deleted)" ]
	grep -q "$dir/libc.so.6 (deleted)" "/proc/$pid/maps"
	cmp "/proc/$pid/exe" "$BUILD/test/zdtm/park"
	[ -z "$(ls -d "$dir"/.crtool* 2>/dev/null)" ]
}

@test "a program whose binary and library were deleted" {
	upgraded
	rm "$dir/program" "$dir/libc.so.6"
	dump_and_restore_thrice
	still_the_old_ones
	release
	[ ! -e "$dir/program" ]
}

@test "a program whose binary and library were replaced, as by an upgrade, while it runs" {
	local name

	upgraded
	for name in program libc.so.6; do
		echo "new version" >"$dir/new"
		mv "$dir/new" "$dir/$name"
	done
	dump_and_restore_thrice
	still_the_old_ones
	dump_running
	release
	[ "$(cat "$dir/program" "$dir/libc.so.6")" = $'new version\nnew version' ]
}

@test "a program whose binary and library were deleted, and have other names elsewhere" {
	upgraded
	mkdir "$dir/kept"
	ln "$dir/program" "$dir/libc.so.6" "$dir/kept"
	rm "$dir/program" "$dir/libc.so.6"
	accept+='|/kept/'
	dump_and_restore
	dump_and_restore
	[ "/proc/$pid/exe" -ef "$dir/kept/program" ]
	dump_running
	release
	[ ! -e "$dir/program" ]
}

@test "a program that was started from the lower layer of an overlay, with its libraries" {
	local layers=$BATS_TEST_TMPDIR/layers libc

	libc=$(ldd "$BUILD/test/zdtm/regular" | sed -nE 's|.* => (/[^ ]*libc\.so[^ ]*) .*|\1|p')
	mkdir -p "$layers"/{lower,upper,work}
	cp "$BUILD/test/zdtm/regular" "$layers/lower/program"
	cp "$libc" "$layers/lower/libc.so.6"
	mounted overlay "lowerdir=$layers/lower,upperdir=$layers/upper,workdir=$layers/work"
	dir=$at/run
	mkdir "$dir"
	start env LD_LIBRARY_PATH="$at" "$at/program"
	within 20 parked_or_gone
	dump_and_restore_thrice
	grep -q " $at/libc.so.6$" "/proc/$pid/maps"
	dump_running
	release
}

# ---- what goes wrong ----

@test "no room for the content: the dump fails, leaves nothing, and the program runs on" {
	park inode many
	mounted tmpfs size=64k
	mkdir "$at/images"
	(cd "/proc/$pid/cwd" && truncate -s 1M "/proc/$pid/fd/3" && head -c 1M /dev/urandom >"/proc/$pid/fd/3")
	run crtool dump -t "$pid" -D "$at/images"
	[ "$status" -ne 0 ]
	[[ $output == *"pages-0.img: write: No space left on device"* ]]
	running "$pid"
	[ -z "$(ls "$at/images")" ]
}

@test "no room where the file was: the restore fails and says so" {
	local to

	mounted tmpfs size=2m
	dir=$at/1
	mkdir "$dir"
	start "$BUILD/test/zdtm/inode" many
	within 20 parked_or_gone
	head -c 1M /dev/urandom >"/proc/$pid/fd/3"
	to=$(images)
	crtool dump -t "$pid" -D "$to"
	within 5 gone "$pid"
	head -c 4M /dev/zero >"$at/full" || true
	run crtool restore -d -D "$to"
	[ "$status" -ne 0 ]
	[[ $output == *"deleted file $dir/gone: write its content: No space left on device"* ]]
	gone "$pid"
	[ "$(cd "$dir" && echo *)" = "err out parked" ]
	rm "$at/full"
	crtool restore -d -D "$to"
	alive "$pid"
}

@test "the other name goes, too: the restore says so" {
	local to

	park inode linked
	to=$(images)
	crtool dump -t "$pid" -D "$to"
	within 5 gone "$pid"
	rm "$dir/there/two"
	run -4 crtool restore -d -D "$to"
	[[ $output == *"file $dir/one: had lost this name before the dump, and under its other names it is gone since"* ]]
	gone "$pid"
}
