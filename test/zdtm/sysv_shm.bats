load lib/zdtm
load lib/sysv

@test "SysV shared memory keeps content, id, key, mode and owner" { zdtm sysv_shm; }

@test "an attachment to read only stays one" { once sysv_shm rdonly; }

@test "a segment marked for destruction lives as long as it is attached" { once sysv_shm rmid; }

@test "parts of attachments come back as they were" { once sysv_shm parts; }

@test "a segment that nobody has attached is carried" { once sysv_shm detached; }

@test "processes share a segment, whether they inherited it or not" { zdtm sysv_shm children; }

@test "a segment of huge pages is carried" {
	local free

	free=$(awk '/^HugePages_Free/ { print $2 }' /proc/meminfo)
	[ "${free:-0}" -ge 4 ] || skip "fewer than 4 free huge pages"
	once sysv_shm huge
}

# with_outsider VICTIM: it is parked, and the process $outsider has its segment $id, too.
with_outsider() {
	park sysv_shm "$1"
	id=$(cut -d' ' -f2 "$dir/sysv")
	local victim=$pid home=$dir
	park sysv_shm outsider "$id"
	outsider=$pid outside=$dir pid=$victim dir=$home
}

end_outsider() {
	touch "$outside/release"
	within 5 gone "$outsider"
}

@test "a segment that others use, too, is refused by name" {
	with_outsider kept
	run -4 crtool dump -t "$pid" -D "$(images)"
	[[ $output == *"task $pid (sysv_shm): shared memory segment $id (key 0x6372"*"task $outsider (sysv_shm)"*"--sysv keep"* ]]
	run -4 crtool check -t "$pid"
	[[ $output == *"task $outsider (sysv_shm)"* ]]
	crtool check --sysv keep -t "$pid"
	end_outsider
	release
}

@test "--sysv keep leaves a segment to others and uses it again" {
	with_outsider kept
	dump --sysv keep
	end_outsider
	crtool restore -d -D "$to"
	release
}

@test "--sysv recreate makes a segment anew, but not against others" {
	with_outsider plain
	dump --sysv recreate
	run -8 crtool restore --sysv recreate -d -D "$to"
	[[ $output == *"attached by task $outsider (sysv_shm)"* ]]
	end_outsider
	crtool restore --sysv recreate -d -D "$to"
	release
}

@test "a segment that is gone is made again; a restore that fails leaves none" {
	park sysv_shm
	id=$(cut -d' ' -f2 "$dir/sysv")
	dump
	ipcrm -m "$id"
	run -1 crtool restore --fail-at run -d -D "$to"
	run ipcs -m -i "$id"
	[[ $output == *"not found"* ]]
	crtool restore -d -D "$to"
	release
}

@test "a key that another segment has is refused, and taken by --sysv recreate" {
	local key

	park sysv_shm
	id=$(cut -d' ' -f2 "$dir/sysv")
	key=$(ipcs -m | awk -v id="$id" '$2 == id { print $1 }')
	dump
	ipcrm -m "$id"
	perl -e 'print "-m ", shmget(hex(shift), 100, 01600), "\n"' "$key" >>"$dir/sysv"
	run -8 crtool restore -d -D "$to"
	[[ $output == *"$id (key $key)"* ]]
	crtool restore --sysv recreate -d -D "$to"
	release
}
