load lib/zdtm
load ../fault/lib/refuse

@test "memory that is marked MADV_DONTDUMP is kept" { zdtm memory_dontdump; }

@test "with --wipe-dontdump it is zero afterwards, and said" {
	local to

	park memory_dontdump wiped
	to=$(images)
	run -0 --separate-stderr crtool dump --wipe-dontdump -t "$pid" -D "$to"
	[[ $stderr == "crtool: not carried: task $pid (memory_dontdump): what it wrote to 1 mapping with MADV_DONTDUMP, 256 KiB" ]]
	within 5 gone "$pid"
	crtool restore -d -D "$to"
	release
}

@test "a program that goes on after --wipe-dontdump -R keeps it" {
	park memory_dontdump
	crtool dump -R --wipe-dontdump -t "$pid" -D "$(images)"
	release
}

@test "the same with a snapshot" {
	park memory_dontdump
	crtool dump -R --snapshot --wipe-dontdump -t "$pid" -D "$(images)"
	release
}

@test "shared memory with MADV_DONTDUMP is refused with --wipe-dontdump" {
	park memory_dontdump shared
	refused 4 "task $pid (memory_dontdump): mapping * shared memory with MADV_DONTDUMP cannot be wiped; without --wipe-dontdump it is saved" --wipe-dontdump
	release
}
