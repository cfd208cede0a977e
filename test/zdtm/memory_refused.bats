load lib/zdtm

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
	there_is memory_refused secret || skip "no memfd_secret(2) here"
	refused secret "secret memory"
}
@test "io_uring is refused" { refused uring "io_uring"; }
@test "memory registered with userfaultfd is refused" { refused uffd "userfaultfd"; }
@test "memory that takes five levels of page tables is refused" {
	there_is memory_refused high || skip "no addresses above 47 bits here"
	refused high "above 128 TiB"
}
