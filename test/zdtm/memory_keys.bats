load lib/zdtm

# The victim says 77 where this CPU or kernel has no protection keys.
setup() {
	there_is memory_keys probe || skip "no memory protection keys here (/proc/cpuinfo: ospke)"
}

@test "protection keys, the mappings that have them and the rights of each thread are kept" {
	zdtm memory_keys
}

@test "a thread that may not use plain memory is refused by name, and runs on" {
	# Else the kernel ends it as soon as it cannot note the CPU there.
	export GLIBC_TUNABLES=glibc.pthread.rseq=0
	park memory_keys denied
	run -8 crtool dump -t "$pid" -D "$(images)"
	[[ ${lines[-1]} == *"thread "*" keeps itself from all memory without a protection key"* ]] || explain "it said: $output"
	running "$pid"
	release
}
