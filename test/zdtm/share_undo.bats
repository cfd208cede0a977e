load lib/zdtm


@test "semaphore operations that two processes undo together are undone once, by the last" {
	zdtm share_undo list
}

@test "who is to undo operations together does so, also where there are none yet" {
	zdtm share_undo empty
}

@test "a thread that undoes semaphore operations by itself is refused by name" {
	park share_undo alone
	run -4 crtool dump -t "$pid" -D "$(images)"
	[[ "$output" =~ "task $pid (share_undo): thread "[0-9]+" undoes its semaphore operations by itself" ]]
	running "$pid"
	release
}
