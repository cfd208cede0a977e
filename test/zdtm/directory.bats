load lib/zdtm

@test "a directory is read on from where it was" {
	zdtm directory
}

@test "a removed directory is refused by name" {
	park directory
	rm -r "$dir/d"
	run -4 crtool dump -t "$pid" -D "$(images)"
	[[ $output == *"fd 3: $dir/d (deleted)"* ]]
	running "$pid"
}
