load lib/zdtm

@test "memory of which little is stored comes back whole" { zdtm memory_stored; }

# stored DIR: the bytes of its pages.
stored() {
	cat "$1"/pages-*.img | wc -c
}

@test "pages that are those of the file, zero, or untouched are not stored" {
	local base to

	park park
	to=$(images)
	crtool dump -R -t "$pid" -D "$to"
	base=$(stored "$to")
	release
	park memory_stored
	to=$(images)
	crtool dump -R -t "$pid" -D "$to"
	echo "stored: $(stored "$to"), of a program that has nothing: $base"
	# the block that it wrote, 5 pages of the file, 1 of what is not touched elsewhere, and a few of libc
	(($(stored "$to") < base + 200000))
	release
}
