load lib/zdtm
load lib/many

@test "advice, locks and flags of mappings are kept" { zdtm memory_advice; }

@test "advice, locks and flags of some of many mappings are kept" { zdtm memory_advice many; }

@test "advice, locks and flags of mappings of a large process are kept" { once memory_advice large; }

@test "what one of many mappings becomes between the look and the freeze is kept" { changed_late memory_advice; }

@test "many mappings that have not changed are not read again while they stand still" {
	park memory_advice many
	[[ $(crtool dump -R -v -v -t "$pid" -D "$(images)" 2>&1) != *"kernel does not tell"* ]] ||
		skip "no iterators over processes and mappings"
	rm -r "$(images)"
	strace -f -qq -e trace=openat,ptrace -o "$dir/calls" "$BUILD/crtool" dump -R -t "$pid" -D "$(images)"
	grep -q 'PTRACE_SEIZE' "$dir/calls"
	run -1 grep -E '"(s|numa_)?maps"' <(sed "1,/PTRACE_SEIZE, $pid,/d" "$dir/calls")
	release
}

# Else they would come from smaps, unnoticed, at several times the cost.
@test "the kernel tells of each flag that a program has usually" {
	park memory_advice many
	run -0 crtool dump -R -v -v -t "$pid" -D "$(images)"
	[[ $output != *"kernel does not tell of mappings"* ]] || skip "no iterator over mappings"
	[[ $output != *"read from smaps"* ]] || explain "$output"
	release
}

@test "memory that is locked once it is touched is so again, where smaps has no name for that" {
	park memory_advice
	to=$(images)
	run -0 old crtool dump -R -t "$pid" -D "$(images)"
	[[ $output != *"flag in smaps"* ]] || explain "$output"
	old crtool dump -t "$pid" -D "$to"
	within 5 gone "$pid"
	crtool restore -d -D "$to"
	release
}
