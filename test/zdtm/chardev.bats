load lib/zdtm

@test "null, zero, full, random and urandom are what they were" {
	zdtm chardev
}
