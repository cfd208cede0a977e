load lib/zdtm

at=''

setup() {
	mkdir "$BATS_TEST_TMPDIR/bpf"
	mount -t bpf none "$BATS_TEST_TMPDIR/bpf" || skip "may not mount bpf"
	at=$BATS_TEST_TMPDIR/bpf
	mkdir "$at/below"
	fresh_dir
	start "$BUILD/test/zdtm/bpf_pin"
	within 20 parked_or_gone
	[ -e "$dir/parked" ] || skip "this kernel has no BPF programs"
}

teardown() {
	zdtm_teardown
	[ -z "$at" ] || umount "$at"
}

@test "BPF programs and maps that are pinned are opened again by their names" {
	release
	park bpf_pin "$at/below"
	dump_and_restore_thrice
	release
}

@test "a BPF program that is pinned nowhere is refused by name" {
	run -4 crtool dump -t "$pid" -D "$(images)"
	[[ $output == *"task $pid (bpf_pin): fd 3: anon_inode:bpf-prog: is not pinned in a bpf file system"*"--on-unknown-fd"* ]]
	running "$pid"
	release
}

@test "a pin that is gone or leads to another object is told" {
	local to

	release
	park bpf_pin "$at/below"
	dump
	mv "$at/below/prog" "$at/below/was"
	run -4 crtool restore -d -D "$to"
	[[ $output == *"BPF object $at/below/prog: is gone since the dump; pin it again"* ]]
	mv "$at/below/other" "$at/below/prog"
	mv "$at/below/was" "$at/below/other"
	run -4 crtool restore -d -D "$to"
	[[ $output == *"BPF object $at/below/"*": is another one since the dump"* ]]
	mv "$at/below/prog" "$at/below/was"
	mv "$at/below/other" "$at/below/prog"
	mv "$at/below/was" "$at/below/other"
	crtool restore -d -D "$to"
	release
}
