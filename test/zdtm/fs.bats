load lib/zdtm

@test "the working directory and the umask are kept" { zdtm fs; }

@test "a process in a chroot stays there" { zdtm fs root; }

@test "a deleted working directory is refused by name" {
	park fs
	rmdir "$dir/a directory"
	run crtool dump -t "$pid" -D "$(images)"
	[ "$status" -ne 0 ]
	[[ $output == *"working directory $dir/a directory (deleted)"* ]]
	running "$pid"
}
