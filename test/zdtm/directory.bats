load lib/zdtm

@test "a directory is read on from where it was" {
	zdtm directory
}
