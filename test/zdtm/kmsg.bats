load lib/zdtm
load lib/many

setup() {
	: </dev/kmsg || skip "/dev/kmsg cannot be read here"
}

@test "readers of the kernel log go on where they were, writers write" { zdtm kmsg; }

@test "... where the memory of the kernel does not tell where that is" { untold kmsg; }

@test "nobody is moved to find out where he reads" {
	strace -V >/dev/null 2>&1 || skip "no strace"
	[ -e /sys/kernel/btf/vmlinux ] || skip "this kernel does not tell of its structures"
	park kmsg
	strace -f -qq -o "$dir/calls" -e trace=read,lseek "$BUILD/crtool" dump -R -t "$pid" -D "$(images)" 3>&- 4>&-
	release
	[ "$(grep -cE 'read\([0-9]+, "[0-9]+,[0-9]+,[0-9]+,' "$dir/calls")" = 0 ]
}
