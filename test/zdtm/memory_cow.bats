load lib/zdtm

# The proportional share of all processes of the tree: pages that they share count once, in KiB.
resident() {
	local tree=$pid list pss sum=0

	list=$(cat "/proc/$pid/task/$pid/children")
	for tree in $pid $list; do
		pss=$(sed -n 's/^Pss: *\([0-9]*\) kB/\1/p' "/proc/$tree/smaps_rollup")
		((sum += pss))
	done
	echo "$sum"
}

# within_5 A B: A is B, 5 % more or less.
within_5() {
	echo "$1 and $2"
	(($1 * 100 <= $2 * 105 && $1 * 100 >= $2 * 95))
}

# shared MIB STORED [args]: images of STORED MiB, and no more memory afterwards than before.
shared() {
	local to stored want=$2 before

	park memory_cow_large "$1" "${@:3}"
	to=$(images)
	before=$(resident)
	crtool dump -t "$pid" -D "$to"
	stored=$(du -kc --apparent-size "$to"/pages-*.img | tail -1 | cut -f 1)
	within_5 "$stored" $((want * 1024))
	crtool restore -d -D "$to"
	within_5 "$(resident)" "$before"
	crtool dump -R -t "$pid" -D "$(images)"
	within_5 "$(resident)" "$before"
	release
}

@test "memory that five processes share is stored once and shared again" { shared 256 256; }

@test "so is what they still share when each has written to some of it" { shared 128 136 write; }

@test "forked memory comes back as it was, whatever became of it (1)" {
	zdtm memory_cow 1
}

@test "forked memory comes back as it was, whatever became of it (2)" {
	zdtm memory_cow 2
}

@test "without the right to see what is shared, it is stored for each, and said" {
	local to

	park memory_cow_large 8
	to=$(images)
	run -0 --separate-stderr setpriv --bounding-set=-sys_admin "$BUILD/crtool" dump -R -t "$pid" -D "$to"
	[[ $stderr$output == *"is stored for each of them: to see what is shared needs CAP_SYS_ADMIN"* ]]
	(($(du -kc --apparent-size "$to"/pages-*.img | tail -1 | cut -f 1) > 5 * 8192))
	release
}
