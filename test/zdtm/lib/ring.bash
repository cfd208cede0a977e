# For victims that have rings of io_uring.

# May everybody make rings (io_uring_setup(2))?
has_io_uring() {
	python3 -c 'import ctypes, sys; sys.exit(ctypes.CDLL(None).syscall(425, 1, bytes(120)) < 0)'
}

# What a ring has is in the memory of the kernel: does crtool find it there?
shows_rings() {
	local shown

	park ring_table
	run crtool check -t "$pid"
	shown=$status
	release
	[ "$shown" -eq 0 ]
}

# refused_ring VICTIM KIND WORDS [CRTOOL]: the victim runs on.
refused_ring() {
	park "$1" "$2"
	run -4 "${4-crtool}" dump --timeout 1 -t "$pid" -D "$(images)"
	echo "$output"
	[[ $output == *"task $pid ($1): "*"anon_inode:[io_uring]"*"$3"* ]]
	running "$pid"
	release
}
