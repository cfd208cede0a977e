load lib/zdtm

@test "the working directory and the umask are kept" { zdtm fs; }

@test "a process in a chroot stays there" { zdtm fs root; }

@test "a deleted working directory is one again" {
	park fs
	rmdir "$dir/a directory"
	dump_and_restore
	[ "$(readlink "/proc/$pid/cwd")" = "$dir/a directory (deleted)" ]
	[ ! -e "$dir/a directory" ]
}
