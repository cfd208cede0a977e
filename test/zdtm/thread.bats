load lib/zdtm

@test "threads keep names, ids, local storage, robust lists and rseq" {
	zdtm thread
}

@test "system call user dispatch stays in force, and is not in the way" {
	zdtm dispatch
}

@test "a restartable sequence that is interrupted is aborted" {
	zdtm rseq
}
