load lib/zdtm

setup() {
	: </dev/kmsg || skip "/dev/kmsg cannot be read here"
}

@test "readers of the kernel log go on where they were, writers write" { zdtm kmsg; }
