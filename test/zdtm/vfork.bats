load lib/zdtm

@test "a program that starts others by vfork all the time" {
	busy=yes
	zdtm vfork
}
