load lib/zdtm

setup() {
	fresh_dir
	start "$BUILD/test/zdtm/bpf_map" queue
	within 20 parked_or_gone
	[ -e "$dir/parked" ] || skip "this kernel has no BPF maps"
}

@test "BPF maps with their content, frozen, read-only, of two descriptions" {
	release
	zdtm bpf_map
}

@test "a BPF map of a type that is not carried is refused" {
	run -4 crtool dump -t "$pid" -D "$(images)"
	[[ $output == *": anon_inode:bpf-map: a BPF map of type 22: not supported"* ]]
	running "$pid"
	release
}
