load lib/zdtm

@test "advice, locks and flags of mappings are kept" { zdtm memory_advice; }

@test "advice, locks and flags of some of many mappings are kept" { zdtm memory_advice many; }

@test "advice, locks and flags of mappings of a large process are kept" { once memory_advice large; }

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
