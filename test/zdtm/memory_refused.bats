load lib/zdtm

# there_is KIND WHAT: the victim ends with 77 where it cannot have it.
there_is() {
	(cd "$BATS_TEST_TMPDIR" && touch release && "$BUILD/test/zdtm/memory_refused" "$1") || [ $? -ne 77 ] || skip "no $2 here"
}

# refused KIND WORDS: the dump ends before the freeze with these words; the victim runs on.
refused() {
	park memory_refused "$1"
	run crtool dump -t "$pid" -D "$(images)"
	echo "$output"
	[ "$status" -eq 4 ]
	[[ $output == *"task $pid (memory_refused):"*"$2"* ]]
	running "$pid"
	release
}

@test "secret memory is refused" {
	there_is secret "memfd_secret(2)"
	refused secret "secret memory"
}
@test "io_uring is refused" { refused uring "io_uring"; }
@test "memory registered with userfaultfd is refused" { refused uffd "userfaultfd"; }
@test "memory that takes five levels of page tables is refused" {
	there_is high "addresses above 47 bits"
	refused high "above 128 TiB"
}
